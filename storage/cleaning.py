"""What can be removed from a home: results that no kept run uses, their answers, and leftovers of work cut off.

Only what bears a mark that we made it, and lies in the home really: what else somebody keeps there stays, and of a link
only the link goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from storage.artifacts import KEY_CHARACTERS
from storage.damage import SET_ASIDE, remove_tree
from storage.home import MARK, Home
from storage.manifests import read_manifest
from storage.run_records import COMPLETED, read_records, runs_in_progress
from storage.sealed import Damaged


@dataclass(frozen=True)
class Garbage:
    """A folder that can go, its size, why, and the lock that says that nobody works on it."""

    path: Path
    bytes: int
    why: str
    lock: str


def find_garbage(home: Home, keep: int) -> list[Garbage]:
    """Artifacts used by none of the last `keep` completed runs, answers of models among them, unfinished work, and
    what was set aside.

    Nothing while a run is in progress: which results it will find and use is not known before it ends.
    """
    if not home.marker.is_file() or runs_in_progress(home):
        return []
    completed = [r for r in read_records(home) if r["status"] == COMPLETED]
    kept = completed[max(0, len(completed) - keep) :]
    used = {(stage["stage"], stage["folder"]) for record in kept for stage in record["stages"]}
    garbage = []
    for folder, lock in _marked(home, home.artifacts, "*/*"):
        if (folder.parent.name, folder.name) not in used:
            garbage.append(Garbage(folder, _size(folder), "no kept run uses it", lock))
    digests = {_digest_of(home.artifacts / stage / name) for stage, name in used}
    for folder, lock in _marked(home, home.answers, "*"):
        mark = _mark_of(folder)
        if mark is not None and mark[1] not in digests:
            garbage.append(Garbage(folder, _size(folder), "answers of a model that no kept run uses", lock))
    for folder, lock in _marked(home, home.work, "*"):
        garbage.append(
            Garbage(folder, _size(folder), "work that was cut off; its run would go on from it", lock)
        )
    if (home.damaged / MARK).is_file() and _inside(home, home.damaged / MARK):
        for path in sorted(home.damaged.iterdir()):
            if SET_ASIDE.match(path.name):
                garbage.append(Garbage(path, _size(path), "damaged, and set aside", "damaged"))
    return garbage


def not_ours(home: Home) -> list[Path]:
    """What lies where we keep results and work, and bears no mark of ours."""
    marked = {folder for folder, _ in (*_marked(home, home.artifacts, "*/*"), *_marked(home, home.work, "*"))}
    lying = [*home.artifacts.glob("*/*"), *home.work.iterdir()]
    strange = [path for path in home.artifacts.iterdir() if not path.is_dir()]
    return sorted({*lying, *strange} - marked)


def remove(home: Home, garbage: list[Garbage]) -> int:
    """Remove the folders until a run begins; returns the bytes freed.

    A run is recorded before it looks for its first result, and waits for the lock of a folder being removed: so it
    finds each folder either whole or gone.
    """
    freed = 0
    for item in garbage:
        try:
            with FileLock(home.locks / f"{item.lock}.lock").acquire(timeout=0):
                if runs_in_progress(home):
                    break
                if _inside(home, item.path):
                    remove_tree(item.path)
                    freed += item.bytes
        except Timeout:
            continue
    return freed


def _marked(home: Home, place: Path, pattern: str) -> Iterator[tuple[Path, str]]:
    """The folders there that we made, each with the name of the lock that is held while one works on it."""
    for folder in sorted(place.glob(pattern)):
        mark = _mark_of(folder) if _inside(home, folder) else None
        if mark is not None and folder.name.endswith(mark[1][:KEY_CHARACTERS]):
            yield folder, f"{mark[0]}-{mark[1][:KEY_CHARACTERS]}"


def _digest_of(folder: Path) -> str | None:
    try:
        manifest = read_manifest(folder)
    except Damaged:
        return None
    return None if manifest is None else manifest["digest"]


def _mark_of(folder: Path) -> tuple[str, str] | None:
    """The stage and key that a manifest, or the mark of a folder to work in, names."""
    try:
        manifest = read_manifest(folder)
    except Damaged:
        manifest = None
    if manifest is not None:
        return manifest["stage"], manifest["key"]
    if not (folder / MARK).is_file():
        return None
    stage, _, key = (folder / MARK).read_text(encoding="utf-8", errors="replace").rpartition(" ")
    return (stage, key) if stage and len(key) > KEY_CHARACTERS and "/" not in stage else None


def _inside(home: Home, path: Path) -> bool:
    """Whether the entry itself, not what it may link to, lies in the home."""
    return path.parent.resolve().is_relative_to(home.root.resolve())


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(part.lstat().st_size for part in path.rglob("*") if part.is_symlink() or part.is_file())
