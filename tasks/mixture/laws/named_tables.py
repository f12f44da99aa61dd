"""Reads what is known by the source's name: token counts and mixtures chosen by hand or found elsewhere."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.mixture.laws.run_columns import WEIGHT_PREFIXES, WEIGHT_SUFFIXES, marked
from tasks.mixture.laws.run_table import normalised, numbers, read_table
from tasks.tables.json_lines import read_json
from tasks.tables.table import as_number, as_text, cells_of
from tasks.tables.taken import say_taken


def read_tokens(path: str | Path) -> dict[str, int]:
    """Tokens that each source holds: its name in the first column, the count in `tokens` or the only other.

    A count may be written 1_000_000. Raises ValueError naming the source whose count is none.
    """
    table = _named(path, "source", "a column `tokens`")
    if table.shape[1] > 1 and "tokens" not in table.columns:
        raise ValueError(f"{path}: columns {list(table.columns)}: the counts must stand in a column `tokens`")
    column = "tokens" if "tokens" in table.columns else str(table.columns[0])
    counts = numbers(path, table, {column: column})[column]
    wrong = counts[(counts < 1) | (counts != np.floor(counts))]
    if len(wrong):
        raise ValueError(
            f"{path}: tokens of {wrong.index[0]!r} are {wrong.iloc[0]:g}: must be a whole number above 0"
        )
    say_taken(str(path), {"sources": list(table.index)}, [name for name in table.columns if name != column])
    return {str(name): int(count) for name, count in counts.items()}


def read_weights(path: str | Path) -> dict[str, float]:
    """One mixture by hand: the source in the first column, its weight in `weight` or the only other."""
    table = _named(path, "source", "a column `weight`")
    if table.shape[1] > 1 and "weight" not in table.columns:
        raise ValueError(
            f"{path}: columns {list(table.columns)}: the weights must stand in a column `weight`"
        )
    column = "weight" if "weight" in table.columns else str(table.columns[0])
    values = numbers(path, table, {column: column})[column]
    say_taken(str(path), {"sources": list(table.index)}, [name for name in table.columns if name != column])
    return {str(name): float(value) for name, value in values.items()}


def read_mixtures(path: str | Path) -> pd.DataFrame:
    """Named mixtures, names x sources, rows divided by their sums.

    A table: the first column is the mixture's name, the others are sources (w_NAME and the like, or
    NAME). JSON: {"name": {"source": weight}}; a source left out has weight 0.
    """
    if Path(str(path).lower().removesuffix(".gz").removesuffix(".zst")).suffix == ".json":
        return normalised(str(path), _from_json(path))
    table = _named(path, "mixture", "a column for each source")
    columns = marked(path, table, WEIGHT_PREFIXES, WEIGHT_SUFFIXES) or {name: name for name in table.columns}
    left_out = [name for name in table.columns if name not in columns.values()]
    say_taken(str(path), {"mixtures": list(table.index), "sources": list(columns)}, left_out)
    return normalised(str(path), numbers(path, table, columns))


def _from_json(path: str | Path) -> pd.DataFrame:
    asked = 'it must hold {"name": {"source": weight}}'
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file; {asked}")
    told = read_json(Path(path))
    if not isinstance(told, dict) or not all(isinstance(weights, dict) for weights in told.values()):
        raise ValueError(f"{path}: {asked}; it holds another value")
    if not any(told.values()):
        raise ValueError(f"{path}: holds no mixture; {asked}")
    for name, weights in told.items():
        for source, weight in weights.items():
            if isinstance(weight, str | list | dict) or not math.isfinite(as_number(weight)):
                raise ValueError(
                    f"{path}: weight of {source!r} in {name!r}: {json.dumps(weight)[:80]} is no finite number; leave "
                    "a source out where it has none"
                )
    return pd.DataFrame.from_dict(told, orient="index").fillna(0.0).astype(float)


def _named(path: str | Path, what: str, others: str) -> pd.DataFrame:
    """The table with its first column as the index; ValueError where a name repeats or nothing stands beside it."""
    table = read_table(path)
    if table.shape[1] < 2:
        raise ValueError(f"{path}: one column; it needs the name of the {what} and {others}")
    names = pd.Series(map(as_text, cells_of(table.iloc[:, 0])), index=table.index, dtype=object)
    if (unnamed := names.index[names == ""]).size:
        raise ValueError(
            f"{path}: column {table.columns[0]!r}, row {unnamed[0]}: empty; the {what} needs a name"
        )
    repeated = sorted(set(names[names.duplicated()]))
    if repeated:
        raise ValueError(f"{path}: {what} {repeated[:5]} stands twice; each may stand once")
    return table.iloc[:, 1:].set_axis(names.tolist(), axis=0)
