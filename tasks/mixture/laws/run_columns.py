"""Which columns of a table of runs are weights and losses: what their names are marked with, and what is neither."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

WEIGHT_PREFIXES, WEIGHT_SUFFIXES = ("weight_", "w_"), ("_weight", "_w")
LOSS_PREFIXES, LOSS_SUFFIXES = ("loss_",), ("_loss",)
# Names behind the first and before the second mark that say how a run was trained, or how sure a figure is.
NO_SOURCES = (
    re.compile(
        r"decays?|init|initiali[sz]ation|norm|normali[sz]ation|standardi[sz]ation|std|scale|scaling|tying|sharing|"
        r"averaging|ema|dtype|precision|clip|sum|total|loss|.*_(std|stderr|se|variance)",
        re.IGNORECASE,
    ),
    re.compile(r"sum|total|(.*_)?loss", re.IGNORECASE),
)
NO_LOSSES = (
    re.compile(
        r"scale|scaling|weights?|function|fn|type|name|reduction|mask|masking|steps?|spikes?|std|stderr|se|error|"
        r"variance|.*_(std|stderr|se|variance)",
        re.IGNORECASE,
    ),
    re.compile(
        r"w|weight|z|aux|auxiliary|reg|regulari[sz]ation|balance|balancing|load_balancing|router|router_z",
        re.IGNORECASE,
    ),
)
Apart = tuple[re.Pattern[str], re.Pattern[str]]


def marked(
    path: str | Path,
    table: pd.DataFrame,
    prefixes: Sequence[str],
    suffixes: Sequence[str],
    apart: Apart | None = NO_SOURCES,
) -> dict[str, str]:
    """What a prefix or suffix marks: name without the mark -> column, in the order of the table; not those `apart`."""
    found: dict[str, str] = {}
    for column in map(str, table.columns):
        for name in _unmarked(column, prefixes, suffixes, apart):
            if name in found:
                raise ValueError(
                    f"{path}: columns {found[name]!r} and {column!r} both stand for {name!r}; one may"
                )
            found[name] = column
    return found


def _unmarked(
    column: str, prefixes: Sequence[str], suffixes: Sequence[str], apart: Apart | None
) -> list[str]:
    for prefix in prefixes:
        if column.startswith(prefix) and len(column) > len(prefix):
            name = column[len(prefix) :]
            return [] if apart and apart[0].fullmatch(name) else [name]
    for suffix in suffixes:
        if column.endswith(suffix) and len(column) > len(suffix):
            name = column[: -len(suffix)]
            return [] if apart and apart[1].fullmatch(name) else [name]
    return []
