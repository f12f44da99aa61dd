"""What a reader took a table's columns for: one line, for whoever listens to the logger `mixstitch.taken`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

LOGGER = logging.getLogger("mixstitch.taken")
SHOWN_NAMES = 12


def say_taken(
    table: str, taken: Mapping[str, Sequence[str]], left_out: Sequence[str] = (), hint: str = ""
) -> None:
    """table: its name; taken: the names by what they were taken for, in the plural.

    left_out: the other columns; hint: how to take one of them.
    """
    parts = [f"{len(names)} {what} ({shown_names(names)})" for what, names in taken.items() if names]
    if left_out:
        parts += [f"left out: {shown_names(left_out)}", *([hint] if hint else [])]
    LOGGER.info("%s: read as %s", table, "; ".join(parts))


def shown_names(names: Sequence[str]) -> str:
    """Names with commas between, the first of many."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(map(str, names[:SHOWN_NAMES])) + (f" and {more} more" if more > 0 else "")
