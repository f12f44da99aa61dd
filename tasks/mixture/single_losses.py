"""Losses of proxies trained on one source each: read from a table, and the utilities that they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.mixture.laws.run_table import numbers, read_table
from tasks.tables.table import as_text, cells_of
from tasks.tables.taken import say_taken
from tasks.utility.matrix import UtilityMatrix

COLUMNS = ["source", "task", "value"]


def read_single_losses(path: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Losses and their standard errors, sources x tasks, from a table source, task, value and perhaps stderr.

    Several rows of a cell are runs of it: their mean, and the error of the mean where there is no stderr (pooled over
    all cells, as a few runs of one tell little). None for errors that nothing tells. Lower is better. Raises
    ValueError naming the file for columns or cells that are missing, and losses that are not above 0.
    """
    table = read_table(path)
    missing = [name for name in COLUMNS if name not in table.columns]
    unknown = [str(name) for name in table.columns if name not in (*COLUMNS, "stderr")]
    if missing or unknown:
        raise ValueError(
            f"{path}: columns {list(map(str, table.columns))}: needed are source, task, value, and perhaps stderr"
        )
    measured = ["value", *(["stderr"] if "stderr" in table.columns else [])]
    cells = numbers(path, table, {name: name for name in measured})
    for column in ("source", "task"):
        names = pd.Series(map(as_text, cells_of(table[column])), index=table.index, dtype=object)
        if (unnamed := names.index[names == ""]).size:
            raise ValueError(f"{path}: column {column!r}, row {unnamed[0]}: empty; a name is needed")
        cells = cells.assign(**{column: names})
    low = cells[~(cells["value"] > 0)]
    if len(low):
        row = low.iloc[0]
        raise ValueError(
            f"{path}: loss of source {row['source']!r} for task {row['task']!r} is {row['value']:g}: must be above 0"
        )
    groups = cells.groupby(["source", "task"], sort=False)
    losses = groups["value"].mean().unstack()
    losses = losses.loc[cells["source"].unique(), cells["task"].unique()]
    holes = np.argwhere(losses.isna().to_numpy())
    if len(holes):
        i, j = holes[0]
        raise ValueError(
            f"{path}: no loss of source {losses.index[i]!r} for task {losses.columns[j]!r}: every source needs one for "
            "every task"
        )
    say_taken(str(path), {"sources": list(losses.index), "tasks": list(losses.columns)})
    return losses, _errors(path, cells, groups, losses)


def _errors(path: Path, cells: pd.DataFrame, groups: Any, losses: pd.DataFrame) -> pd.DataFrame | None:
    counts = groups["value"].size().unstack().loc[losses.index, losses.columns]
    if "stderr" in cells.columns:
        wrong = cells[~(cells["stderr"] >= 0) | ~np.isfinite(cells["stderr"])]
        if len(wrong):
            row = wrong.iloc[0]
            raise ValueError(
                f"{path}: stderr of source {row['source']!r} for task {row['task']!r} is {row['stderr']:g}: must be at "
                "least 0"
            )
        total = cells.assign(square=cells["stderr"] ** 2).groupby(["source", "task"])["square"].sum()
        return np.sqrt(total.unstack().loc[losses.index, losses.columns]) / counts
    spare = int((counts - 1).to_numpy().sum())
    if not spare:
        return None
    away = cells["value"] - groups["value"].transform("mean")
    return np.sqrt(float((away**2).sum()) / spare / counts)


def utility_of_losses(losses: pd.DataFrame, errors: pd.DataFrame | None) -> UtilityMatrix:
    """Utilities task by task, 1 for the least loss and 0 for the largest; .5 where all are alike."""
    span = losses.max() - losses.min()
    known = span.where(span > 0, 1.0)
    values = ((losses.max() - losses) / known).where(span > 0, 0.5)
    spread = 0 * losses if errors is None else errors / known
    return UtilityMatrix(values, spread, {"stderr": errors is not None})
