"""A disk that is full or cannot be written is one message, whichever library ran into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.home import Home

PROBE_BYTES = 1 << 16
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
# Rust and C++ libraries and databases pass on the system's words, not its number; the last two are SQLite's own.
WORDS = (
    *(os.strerror(number) for number in REFUSALS),
    "database or disk is full",
    "attempt to write a readonly database",
)


@contextmanager
def writing(home: Home, what: str) -> Iterator[None]:
    """Turn every error that says that the disk cannot be written into a ValueError; others pass unchanged.

    what: named in the message, e.g. the label of a stage.
    """
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        refused = refusal(error, home)
        if refused is None:
            raise
        raise ValueError(f"{what}: {_told(*refused)}") from error


def told_refusal(error: Exception, home: Home) -> str | None:
    """What to say of an error that comes of a disk that cannot be written; None where it comes of something else.

    A server that could not write says just that it failed: so it is tried whether the home can be written now.
    """
    refused = refusal(error, home)
    if refused is None and home.root.is_dir():
        probe = home.root / f"probe.{os.getpid()}.tmp"
        try:
            probe.write_bytes(bytes(PROBE_BYTES))
            _sync(probe)
        except OSError as refusing:
            refused = refusal(refusing, home)
        finally:
            with suppress(OSError):
                probe.unlink()
    return None if refused is None else _told(*refused)


def _told(place: str, reason: str) -> str:
    return (
        f"{place} cannot be written: {reason}; free some space there, or name a folder that can be written with "
        "MIXSTITCH_HOME; then the same command goes on"
    )


def write_whole(path: Path, text: str) -> None:
    """Write a text file that is there as a whole or as it was before, whatever happens meanwhile."""
    written = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        written.write_text(text, encoding="utf-8")
        put_in_place(written, path)
    finally:
        written.unlink(missing_ok=True)


def put_in_place(written: Path, place: Path) -> None:
    """Rename a file or folder to its place when all of it is on the disk, and see that the new name is there too.

    So a power cut leaves either what was in the place before or all that was written.
    """
    for path in (*written.rglob("*"), written) if written.is_dir() else (written,):
        if not path.is_symlink():
            _sync(path)
    written.replace(place)
    for folder in {written.parent, place.parent}:
        _sync(folder)


def _sync(path: Path) -> None:
    """Have the system write a file's content, or a folder's entries, to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def refusal(error: BaseException | None, home: Home) -> tuple[str, str] | None:
    """Where and why writing was refused, from an error or what it was raised from; None where it was not."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            place = str(error.filename or home.root)
            # a file of the user's that may not be read says the same: only in the home do we write
            forbidden = error.errno in (errno.EACCES, errno.EPERM) and error.filename and _inside(place, home)
            if error.errno in REFUSALS or forbidden:
                return place, os.strerror(error.errno)
        else:
            found = [words for words in WORDS if words in str(error)]
            if found:
                return str(home.root), found[0]
        error = error.__cause__
    return None


def _inside(place: str, home: Home) -> bool:
    return Path(place).resolve().is_relative_to(home.root)
