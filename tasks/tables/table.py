"""A table of a user as it is once it is read: its cells, where they stand, and what is asked of them.

A number is parsed where one is asked for, by `as_number`; until then a cell of a CSV is text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Wording:
    """How the commands that read a table say what is wrong with it.

    place: of a row, by the table's {name}, {unit} ('line' or 'row') and {number}; missing: of a file that is not
    there, by {what} and {name}; ragged: of a row's {cells} under {columns}; names: of {repeated} columns.
    """

    place: str = "{name} {unit} {number}"
    missing: str = "{what}: {name}: no such file"
    ragged: str = "{cells} cells, the header has {columns}"
    names: str = "column names must be given and differ; repeated or empty: {repeated}"


WORDING = Wording()


@dataclass(frozen=True)
class Table:
    """name: the file, or what the caller called it. frame: its cells, rows numbered from 1; see `cells_of`.

    A cell is None where empty, text without blanks around it, or else what Parquet, JSON or a DataFrame gave. numbers:
    of the rows; unit: what these count, 'line' (of the file, from 1) or 'row' (from 0).
    """

    name: str
    frame: pd.DataFrame
    numbers: Sequence[int]
    unit: str

    @cached_property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self.frame.columns)

    @cached_property
    def rows(self) -> list[tuple[str, dict[str, Any]]]:
        """(place, column -> cell) of each row; a place reads 'line 3' or 'row 0'."""
        cells = [cells_of(self.frame[column]) for column in self.columns]
        return [
            (f"{self.unit} {number}", dict(zip(self.columns, row, strict=True)))
            for number, row in zip(self.numbers, zip(*cells, strict=True), strict=True)
        ]


def table_from(
    name: str, columns: list[str], cells: Sequence[Any], numbers: Sequence[int], unit: str
) -> Table:
    """cells: of each column, a Series or a sequence of Python values."""
    index = pd.RangeIndex(1, len(numbers) + 1)
    series = {
        column: found.set_axis(index) if isinstance(found, pd.Series) else _objects(found, index)
        for column, found in zip(columns, cells, strict=True)
    }
    return Table(
        name, pd.DataFrame(series, index=index, columns=pd.Index(columns, dtype=object)), numbers, unit
    )


def _objects(cells: Sequence[Any], index: pd.Index) -> pd.Series:
    found = np.empty(len(cells), dtype=object)
    found[:] = cells
    return pd.Series(found, index=index, dtype=object)


def column_named(table: Table, names: Iterable[str]) -> str | None:
    """The first column whose name is one of `names` but for case, blanks and punctuation."""
    known = {plain(column): column for column in reversed(table.columns)}
    return next((known[plain(name)] for name in names if plain(name) in known), None)


def plain(name: str) -> str:
    """'Model Size (B)' -> 'modelsizeb'."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def as_number(cell: Any) -> float:
    """The cell as a float, NaN where it is none; truth values are no numbers."""
    if isinstance(cell, bool):
        return math.nan
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def cells_of(column: pd.Series) -> list[Any]:
    """The cells of a table's column as Python values, None where they are empty."""
    cells = column.tolist()
    return [None if cell is pd.NA else cell for cell in cells] if column.hasnans else cells


def numbers_of(column: pd.Series) -> NDArray[np.float64]:
    """`as_number` of each cell of a table's column."""
    if isinstance(column.dtype, pd.ArrowDtype):
        import pyarrow as pa

        try:
            return pa.array(column.array).cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            pass  # some cell is no number, or one that only Python reads
    elif column.dtype != object:
        return column.to_numpy(float)
    return np.array(list(map(as_number, cells_of(column))), float)


def as_text(cell: Any) -> str:
    """The cell as text without blanks around it, '' where it is empty; 3.0 is '3', as whole numbers may come so."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else str(cell).strip()


def number(table: Table, place: str, column: str, cell: Any, allowed: str = "a finite number") -> float:
    """The cell as a float. Raises ValueError naming file, place and column of what is no finite number."""
    value = as_number(cell)
    if not math.isfinite(value):
        raise ValueError(
            f"{table.name} {place}, column {column!r}: {cell!r} is not {allowed}; leave a cell empty where "
            "there is none"
        )
    return value


def text(table: Table, place: str, row: Mapping[str, Any], column: str) -> str:
    """The cell as text without blanks around it. Raises ValueError where it is empty, a list or an object."""
    cell = row[column]
    if isinstance(cell, list | dict):
        raise ValueError(f"{table.name} {place}, column {column!r}: {str(cell)[:80]} is no text")
    if not (found := as_text(cell)):
        raise ValueError(f"{table.name} {place}, column {column!r}: empty; a name is needed")
    return found
