"""Utilities as files of a user: read for commands, written for the next one."""

from __future__ import annotations

import csv
from pathlib import Path

from tasks.utility.matrix import UtilityMatrix
from tasks.utility.methods.table_utility import table_utility


def load_utility(path: Path) -> UtilityMatrix:
    """A utility from a table (source, task, value and optionally stderr and n; or wide), or from a stage's folder.

    Raises ValueError naming the file for what cannot be read.
    """
    if path.is_dir():
        if not (path / "utility.parquet").is_file():
            raise ValueError(
                f"{path}: holds no utility.parquet; allowed: the folder of a run's utility, or a table"
            )
        return UtilityMatrix.load(path)
    return table_utility(path)


def labels_of(matrix: UtilityMatrix, path: Path) -> dict[str, dict[str, int]]:
    """The number of labels by source and task; ValueError where the utility does not state it."""
    if "labels" not in matrix.about:
        raise ValueError(
            f"{path}: does not say how many labels are behind a cell; needed: a column n (with source, task, value, "
            "stderr), or the folder of a utility by MEDU"
        )
    return matrix.about["labels"]


def write_utility(matrix: UtilityMatrix, path: Path) -> None:
    """source, task, value, stderr (and n where it is known), as `load_utility` reads them."""
    labels = matrix.about.get("labels")
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["source", "task", "value", "stderr", *(["n"] if labels else [])])
        for row in matrix.rows():
            count = [labels[row["source"]][row["task"]]] if labels else []
            writer.writerow([*row.values(), *count])
