"""A folder that a user asks for: there whole, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.writing import put_in_place


def check_free(out: Path, setting: str) -> None:
    """Raise ValueError unless `out` is not there yet, or an empty folder. setting: what it is called."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise ValueError(f"{setting} {out}: is there already; allowed: a new or an empty folder")


@contextmanager
def new_folder(out: Path, setting: str) -> Iterator[tuple[Path, Path]]:
    """(folder, beside): what is written into the folder becomes `out` at the end; `beside` goes, whatever happens.

    Both lie on the disk of `out`, hidden. Raises ValueError where `out` is not free or nothing can be made there.
    """
    out = out.expanduser()
    check_free(out, setting)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ValueError(f"{setting} {out}: cannot be written: {error.strerror or error}") from error
    try:
        folder, beside = work / "whole", work / "beside"
        folder.mkdir()
        beside.mkdir()
        yield folder, beside
        put_in_place(folder, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
