"""What can be removed from a home: results that no kept run uses, and leftovers of work that is not going on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from storage.artifacts import KEY_CHARACTERS, MANIFEST
from storage.home import Home
from storage.runs import COMPLETED, RUNNING, is_alive, read_records


@dataclass(frozen=True)
class Garbage:
    """A folder that can go, its size, and why."""

    path: Path
    bytes: int
    why: str


def find_garbage(home: Home, keep: int) -> list[Garbage]:
    """Artifacts used by none of the last `keep` completed runs or a run in progress, and unfinished work.

    While a run is in progress nothing that it may still need is listed: no unfinished work at all, and only
    artifacts that are older than the run.
    """
    records = read_records(home)
    in_progress = [r for r in records if r["status"] == RUNNING and is_alive(r)]
    completed = [r for r in records if r["status"] == COMPLETED]
    kept = [*completed[len(completed) - keep :], *in_progress]
    used = {(stage["stage"], stage["folder"]) for record in kept for stage in record["stages"]}
    oldest_start = min((r["started"] for r in in_progress), default=float("inf"))
    garbage = []
    for manifest in sorted(home.artifacts.glob(f"*/*/{MANIFEST}")):
        folder = manifest.parent
        if (folder.parent.name, folder.name) not in used and manifest.stat().st_mtime < oldest_start:
            garbage.append(Garbage(folder, _size(folder), "no kept run uses it"))
    if not in_progress:
        for folder in sorted(home.work.iterdir()):
            garbage.append(
                Garbage(folder, _size(folder), "work that was cut off; its run would go on from it")
            )
    return garbage


def remove(home: Home, garbage: list[Garbage]) -> int:
    """Remove the folders, leaving those that a run has taken hold of meanwhile; returns the bytes freed."""
    freed = 0
    for item in garbage:
        key = item.path.name[-KEY_CHARACTERS:]
        stage = item.path.parent.name if item.path.parent.parent == home.artifacts else item.path.name
        lock = FileLock(home.locks / f"{stage.split('-')[0]}-{key}.lock")
        try:
            with lock.acquire(timeout=0):
                shutil.rmtree(item.path)
                freed += item.bytes
        except Timeout:
            continue
    return freed


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
