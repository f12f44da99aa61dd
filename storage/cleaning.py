"""What can be removed from a home: results that no kept run uses, and leftovers of work that is not going on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from storage.artifacts import KEY_CHARACTERS, MANIFEST
from storage.home import Home
from storage.runs import COMPLETED, read_records, runs_in_progress


@dataclass(frozen=True)
class Garbage:
    """A folder that can go, its size, and why."""

    path: Path
    bytes: int
    why: str


def find_garbage(home: Home, keep: int) -> list[Garbage]:
    """Artifacts used by none of the last `keep` completed runs, and unfinished work.

    Nothing while a run is in progress: which results it will find and use is not known before it ends.
    """
    if runs_in_progress(home):
        return []
    completed = [r for r in read_records(home) if r["status"] == COMPLETED]
    kept = completed[max(0, len(completed) - keep) :]
    used = {(stage["stage"], stage["folder"]) for record in kept for stage in record["stages"]}
    garbage = []
    for manifest in sorted(home.artifacts.glob(f"*/*/{MANIFEST}")):
        folder = manifest.parent
        if (folder.parent.name, folder.name) not in used:
            garbage.append(Garbage(folder, _size(folder), "no kept run uses it"))
    for folder in sorted(home.work.iterdir()):
        garbage.append(Garbage(folder, _size(folder), "work that was cut off; its run would go on from it"))
    return garbage


def remove(home: Home, garbage: list[Garbage]) -> int:
    """Remove the folders until a run begins; returns the bytes freed.

    A run is recorded before it looks for its first result, and waits for the lock of a folder being removed: so it
    finds each folder either whole or gone.
    """
    freed = 0
    for item in garbage:
        key = item.path.name[-KEY_CHARACTERS:]
        stage = item.path.parent.name if item.path.parent.parent == home.artifacts else item.path.name
        lock = FileLock(home.locks / f"{stage.split('-')[0]}-{key}.lock")
        try:
            with lock.acquire(timeout=0):
                if runs_in_progress(home):
                    break
                shutil.rmtree(item.path)
                freed += item.bytes
        except Timeout:
            continue
    return freed


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
