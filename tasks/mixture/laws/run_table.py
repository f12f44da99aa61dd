"""Reads tables of runs: one row a trained mixture, with a weight for each source and a loss for each target.

Any table (`tables.reading`). Weight columns are called w_NAME, weight_NAME, NAME_w or NAME_weight, loss
columns loss_NAME or NAME_loss, unless they are named. Every error names the file, the column and the row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.mixture.laws.run_columns import (
    LOSS_PREFIXES,
    LOSS_SUFFIXES,
    NO_LOSSES,
    NO_SOURCES,
    WEIGHT_PREFIXES,
    WEIGHT_SUFFIXES,
    marked,
)
from tasks.tables.reading import FORMATS, table_of
from tasks.tables.table import Wording, as_number, as_text, cells_of, numbers_of
from tasks.tables.taken import say_taken

WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
INDEX_COLUMNS = ("index", "run", "id", "name")
WORDING = Wording(
    missing=f"{{name}}: no such file; it must be a table: {FORMATS}",
    names="columns {repeated} stand twice; each may stand once, and none may be empty",
)


@dataclass(frozen=True)
class RunTable:
    """weights (runs x sources, rows sum to 1) and losses (runs x targets; None where the table holds none).

    Both have the same index: the column `index`, `run`, `id` or `name` where its values are all different, or
    else the number of the row in the file, from 1. path: where it was read.
    """

    path: str
    weights: pd.DataFrame
    losses: pd.DataFrame | None


def read_table(path: str | Path) -> pd.DataFrame:
    """A table's cells as they stand, rows numbered from 1. ValueError for a file that is not there, broken or empty."""
    table = table_of(path, "runs", WORDING)
    if not table.columns:
        raise ValueError(f"{path}: cannot be read as a table: it is empty")
    if not len(table.numbers):
        raise ValueError(f"{path}: holds no rows; it needs a header and one row a run")
    return table.frame


def columns_of(path: str | Path) -> list[str]:
    """The names of the columns of a table."""
    return list(map(str, read_table(path).columns))


def read_runs(
    path: str | Path,
    weights: Sequence[str] = (),
    losses: Sequence[str] = (),
    where: Sequence[str] = (),
    last: str | None = None,
    need_losses: bool = True,
) -> RunTable:
    """The runs of a table.

    weights, losses: names of columns, or of what their prefix or suffix marks (`arxiv` for `w_arxiv`); empty:
    all that are marked. need_losses=False: losses that are asked for and not there are left out, up to all.
    where: conditions COLUMN=VALUE that a row must meet. last: of the rows with the same weights (after
    `where`), only the one with the largest value in this column: the last checkpoint of each run.
    """
    table = read_table(path)
    table = _selected(path, table, where)
    marked_weights = marked(path, table, WEIGHT_PREFIXES, WEIGHT_SUFFIXES, None if weights else NO_SOURCES)
    marked_losses = marked(path, table, LOSS_PREFIXES, LOSS_SUFFIXES, None if losses else NO_LOSSES)
    weight_columns = _columns(path, "weights", table, weights, marked_weights, "w_, weight_, _w or _weight")
    loss_columns: dict[str, str]
    if not losses and not marked_losses and not need_losses:
        loss_columns = {}
    else:
        there = losses if need_losses else [n for n in losses if n in table.columns or n in marked_losses]
        loss_columns = {}
        if there or not losses:
            loss_columns = _columns(path, "losses", table, there, marked_losses, "loss_ or _loss")
    both = sorted(set(weight_columns.values()) & set(loss_columns.values()))
    if both:
        raise ValueError(f"{path}: columns {both} are named as weights and as losses; each is one of the two")
    shares = numbers(path, table, weight_columns)
    shares = normalised(str(path), shares)
    if last is not None:
        kept = _last_of_each(path, table, shares, last)
        table, shares = table.loc[kept], shares.loc[kept]
    targets = numbers(path, table, loss_columns) if loss_columns else None
    used = {*weight_columns.values(), *loss_columns.values()}
    left_out = [column for column in map(str, table.columns) if column not in used]
    say_taken(str(path), {"sources": list(weight_columns), "losses": list(loss_columns)}, left_out)
    names = _index(table)
    shares.index = names
    if targets is not None:
        targets.index = names
    return RunTable(str(path), shares, targets)


def _columns(
    path: str | Path, what: str, table: pd.DataFrame, asked: Sequence[str], found: dict[str, str], marks: str
) -> dict[str, str]:
    """Name -> column for those asked for, or all that are marked."""
    if not asked:
        if not found:
            raise ValueError(
                f"{path}: no column for {what}: none begins or ends with {marks}; name them with --{what} "
                f"(the columns are {', '.join(map(str, table.columns))})"
            )
        return found
    repeated = sorted({name for name in asked if list(asked).count(name) > 1})
    if repeated:
        raise ValueError(f"--{what}: {repeated} stand twice; each may stand once")
    columns = set(map(str, table.columns))
    by_column = {column: name for name, column in found.items()}
    chosen: dict[str, str] = {}
    for name in asked:
        if name in columns:
            chosen[by_column.get(name, name)] = name
        elif name in found:
            chosen[name] = found[name]
        else:
            raise ValueError(
                f"{path}: --{what}: no column {name!r}; the columns are {', '.join(sorted(columns))}"
            )
    return chosen


def numbers(path: str | Path, table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """The columns as finite numbers under their names; ValueError naming the first row that holds none."""
    chosen = {}
    for name, column in columns.items():
        values = numbers_of(table[column])
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            cell = cells_of(table[column])[wrong[0]]
            shown = "nan" if cell is None else repr(cell) if math.isnan(as_number(cell)) else str(cell)
            raise ValueError(
                f"{path}: column {column!r}, row {table.index[wrong[0]]}: {shown} is not a finite number"
                + (f" (and {len(wrong) - 1} more rows)" if len(wrong) > 1 else "")
            )
        chosen[name] = values
    return pd.DataFrame(chosen, index=table.index)


def normalised(what: str, weights: pd.DataFrame) -> pd.DataFrame:
    """Rows divided by their sums: published weights are rounded. ValueError for a negative weight, an empty row."""
    values = weights.to_numpy(float)
    wrong = np.argwhere(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        i, j = wrong[0]
        raise ValueError(
            f"{what}: weight of {weights.columns[j]!r} in row {weights.index[i]}: {values[i, j]:g} must be a finite "
            "number of at least 0"
        )
    # Rounded once, so that the order of the sources does not show in the last digit.
    sums = np.array([math.fsum(row) for row in values.tolist()])
    empty = np.flatnonzero(~(sums > 0))
    if len(empty):
        raise ValueError(
            f"{what}: the weights of row {weights.index[empty[0]]} sum to 0; one must be above 0"
        )
    return pd.DataFrame(values / sums[:, None], index=weights.index, columns=weights.columns)


def _selected(path: str | Path, table: pd.DataFrame, where: Sequence[str]) -> pd.DataFrame:
    for condition in where:
        column, equals, value = condition.partition("=")
        column, value = column.strip(), value.strip()
        if not equals or column not in table.columns:
            raise ValueError(
                f"{path}: --where {condition!r}: must be COLUMN=VALUE with a column of the table "
                f"({', '.join(map(str, table.columns))})"
            )
        kept = table[_equal(table[column], value)]
        if kept.empty:
            present = list(dict.fromkeys(map(as_text, cells_of(table[column]))))
            shown = ", ".join(present[:10]) + (", …" if len(present) > 10 else "")
            raise ValueError(f"{path}: --where {condition!r}: no row; {column} is one of {shown}")
        table = kept
    return table


def _equal(column: pd.Series, value: str) -> list[bool]:
    """Which cells are that text, or that number in a column of numbers."""
    cells, numbers_there = cells_of(column), numbers_of(column)
    if all(cell is None or not math.isnan(there) for cell, there in zip(cells, numbers_there, strict=True)):
        return (numbers_there == as_number(value)).tolist()
    return [as_text(cell) == value for cell in cells]


def _last_of_each(path: str | Path, table: pd.DataFrame, shares: pd.DataFrame, column: str) -> pd.Index:
    if column not in table.columns:
        raise ValueError(
            f"{path}: --last {column!r}: no such column; the columns are {', '.join(map(str, table.columns))}"
        )
    order = numbers(path, table, {column: column})[column]
    mixtures = shares.round(6).assign(order=order)
    ranked = mixtures.sort_values("order", kind="stable")
    return ranked.drop_duplicates(list(shares.columns), keep="last").index.sort_values()


def _index(table: pd.DataFrame) -> pd.Index:
    for column in INDEX_COLUMNS:
        if column in table.columns and table[column].is_unique and table[column].notna().all():
            return pd.Index(_named(cells_of(table[column])), name="index")
    return pd.Index(table.index.tolist(), name="index")


def _named(cells: list[Any]) -> list[Any]:
    """Whole numbers where all cells are written as such, else the cells."""
    if all(isinstance(cell, int) or (isinstance(cell, str) and WHOLE.fullmatch(cell)) for cell in cells):
        return list(map(int, cells))
    return cells
