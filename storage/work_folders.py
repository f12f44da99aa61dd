"""The folder in which a stage works until its result is whole, and what of it outlives a kill."""

from __future__ import annotations

from pathlib import Path

from storage.damage import remove_tree
from storage.fingerprint import digest_file
from storage.home import MARK
from storage.manifests import MANIFEST
from storage.writing import put_in_place

PROGRESS = "progress"


def files_of(folder: Path) -> dict[str, dict]:
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": digest_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in (PROGRESS, MARK)
    }


def is_work(folder: Path) -> bool:
    """Whether we made this folder to work in; a kill may have left it without its mark, and then it is empty."""
    return folder.is_dir() and (
        (folder / MARK).is_file() or (folder / MANIFEST).is_file() or not any(folder.iterdir())
    )


def clear(work: Path) -> None:
    """Remove all but the progress, and the mark while there is some."""
    if not work.exists():
        return
    for path in work.iterdir():
        if path.name not in (PROGRESS, MARK):
            remove_tree(path)
    if not (work / PROGRESS).exists():
        remove_tree(work)


def put_whole(work: Path, folder: Path) -> None:
    """Move a whole result to its place; cut off anywhere in here, it is taken up again by `_adopt`."""
    for kept_until_now in (PROGRESS, MARK):
        remove_tree(work / kept_until_now)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():  # to nothing: what is there was found, or set aside
        folder.unlink()
    put_in_place(work, folder)
