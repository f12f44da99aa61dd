"""The user's own utility: a table, long (source, task, value[, stderr[, n]]) or wide (sources, then tasks)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from tasks.tables.reading import table_of
from tasks.tables.table import Wording, as_number, as_text
from tasks.tables.taken import say_taken
from tasks.utility.matrix import UtilityMatrix

LONG = ["source", "task", "value"]
WORDING = Wording(
    place="{name}:{number}",
    missing="{name}: cannot be read: no such file",
    ragged="{cells} cells under {columns} columns",
    names="columns {repeated} are repeated or empty: each must have a name of its own",
)


def table_utility(
    path: Path, sources: Sequence[str] | None = None, tasks: Sequence[str] | None = None
) -> UtilityMatrix:
    """The table's utility for exactly these sources and tasks; None: for those that it names, in its order.

    A cell without a standard error counts as exact (0). n, the number of labels behind a cell, goes into
    about["labels"] by source and task. Raises ValueError naming file and line for what
    cannot be read, values outside [0, 1], cells that stand twice or are missing, and for names: the missing,
    the unknown and the allowed ones.
    """
    header, rows = _read(path)
    long = set(LONG) <= set(header)
    if not long and {"task", "value"} & set(header):
        raise ValueError(
            f"{path}:1: columns {header}: must be source, task, value and optionally stderr and n, or the source "
            "and one column a task"
        )
    if not long:
        header, rows = _first_is_source(path, header, rows)
    allowed = [*LONG, "stderr", "n"] if long else header if tasks is None else ["source", *tasks]
    unknown = sorted(set(header) - set(allowed))
    if unknown:
        kind = "columns" if long else "tasks"
        raise ValueError(f"{path}:1: unknown {kind} {unknown}; the {kind} are {allowed[0 if long else 1 :]}")

    values: dict[tuple[str, str], float] = {}
    errors: dict[tuple[str, str], float] = {}
    lines: dict[tuple[str, str], int] = {}
    counts: dict[str, dict[str, int]] = {}
    for line, row in rows:
        cells = [(row["task"], row["value"], row.get("stderr", ""))] if long else _wide_cells(header, row)
        for task, value, error in cells:
            key = (row["source"], task)
            if key in values:
                raise ValueError(
                    f"{path}:{line}: source {key[0]!r} and task {task!r} stand in line {lines[key]} already"
                )
            values[key] = number(f"{path}:{line}", f"value for task {task!r}", value, 1.0)
            errors[key] = number(f"{path}:{line}", f"stderr for task {task!r}", error or "0", math.inf)
            lines[key] = line
            if long and "n" in header:
                counts.setdefault(key[0], {})[task] = _count(path, line, task, row["n"])
    if sources is None:
        sources = list(dict.fromkeys(source for source, _ in values))
    if tasks is None:
        tasks = list(dict.fromkeys(task for _, task in values))
    _check_names(path, "sources", {source for source, _ in values}, sources)
    _check_names(path, "tasks", {task for _, task in values}, tasks)
    missing = [(source, task) for source in sources for task in tasks if (source, task) not in values]
    if missing:
        raise ValueError(
            f"{path}: no value for {missing[:5]} and {max(len(missing) - 5, 0)} more (source, task)"
        )
    matrix = pd.DataFrame(
        [[values[s, t] for t in tasks] for s in sources], index=list(sources), columns=list(tasks)
    )
    spread = pd.DataFrame(
        [[errors[s, t] for t in tasks] for s in sources], index=list(sources), columns=list(tasks)
    )
    say_taken(str(path), {"sources": list(sources), "tasks": list(tasks)})
    about = {"method": "table", "file": path.name, "stderr": "stderr" in header}
    return UtilityMatrix(matrix, spread, {**about, "labels": counts} if counts else about)


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Columns, and the rows as text with the numbers of their lines."""
    table = table_of(path, "utility", WORDING)
    if len(table.columns) < 2:
        raise ValueError(
            f"{path}:1: columns {table.columns}: there must be at least two, each with a name of its own"
        )
    rows = [
        (line, {column: as_text(cell) for column, cell in row.items()})
        for line, (_, row) in zip(table.numbers, table.rows, strict=True)
    ]
    if not rows:
        raise ValueError(f"{path}: no row below the header")
    for column in [name for name in ("source", "task") if name in table.columns] or table.columns[:1]:
        unnamed = [line for line, row in rows if not row[column]]
        if unnamed:
            raise ValueError(f"{path}:{unnamed[0]}: column {column!r} is empty; a name is needed")
    return table.columns, rows


def _first_is_source(
    path: Path, header: list[str], rows: list[tuple[int, dict[str, str]]]
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The wide table with its first column called source, whatever its name was."""
    first, tasks = header[0], header[1:]
    if "source" in tasks:
        raise ValueError(f"{path}:1: columns {header}: the source must stand in the first column")
    return ["source", *tasks], [
        (line, {"source": row[first], **{task: row[task] for task in tasks}}) for line, row in rows
    ]


def _wide_cells(header: list[str], row: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    return ((task, row[task], "") for task in header[1:])


def number(where: str, what: str, cell: str, highest: float) -> float:
    """The cell as a number from 0 to `highest`, 1 or inf; ValueError naming place, value and what is allowed."""
    value = as_number(cell)
    if not (0 <= value <= highest and math.isfinite(value)):
        limits = "from 0 to 1" if highest == 1 else "finite and at least 0"
        raise ValueError(f"{where}: {what} is {cell!r}: must be a number {limits}")
    return value


def _count(path: Path, line: int, task: str, cell: str) -> int:
    if not (cell.isascii() and cell.isdigit() and int(cell) > 0):
        raise ValueError(f"{path}:{line}: n for task {task!r} is {cell!r}: must be a whole number above 0")
    return int(cell)


def _check_names(path: Path, what: str, given: set[str], allowed: Sequence[str]) -> None:
    missing, unknown = sorted(set(allowed) - given), sorted(given - set(allowed))
    if missing or unknown:
        raise ValueError(
            f"{path}: {what} do not match: missing {missing}, unknown {unknown}; "
            f"the {what} are {sorted(allowed)}"
        )
