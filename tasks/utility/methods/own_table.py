"""The method table: utilities of one's own, see `table_utility`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storage.fingerprint import digest_file
from tasks.utility.utility_method import Given, UtilityMethod

if TYPE_CHECKING:
    from tasks.utility.matrix import UtilityMatrix


def _estimate(table: Path, given: Given) -> UtilityMatrix:
    from tasks.utility.methods.table_utility import table_utility

    return table_utility(table, list(given.samples), list(given.dev))


def _inputs(table: Path) -> dict[str, str]:
    if not table.is_file():
        raise ValueError(f"utility.table={table}: no such file; allowed: a table file")
    return {"table": digest_file(table)}


METHOD = UtilityMethod(
    name="table",
    title="table",
    line="a table of your own",
    section=Path | None,
    default=None,
    describes="Table (CSV, TSV, JSONL or Parquet) for the method table: columns source, task, value and optionally "
    "stderr; or source and a column for each task.",
    estimate=_estimate,
    decides=lambda table: {},
    inputs=_inputs,
)
