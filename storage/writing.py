"""A disk that is full or cannot be written is one message, whichever library ran into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.home import Home

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
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
        refusal = _refusal(error, home)
        if refusal is None:
            raise
        place, reason = refusal
        raise ValueError(
            f"{what}: {place} cannot be written: {reason}; free some space there, or name a folder that can be "
            "written with MIXSTITCH_HOME"
        ) from error


def _refusal(error: BaseException | None, home: Home) -> tuple[str, str] | None:
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
