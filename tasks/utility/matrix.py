"""The utility matrix: sources x tasks in [0, 1] with standard errors, in memory and in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# The largest standard deviation of anything in [0, 1]: stands where one observation leaves it unknown.
UNKNOWN_DEVIATION = 0.5


@dataclass(frozen=True)
class UtilityMatrix:
    """values and errors: sources x tasks, with the same names; about: JSON-ready facts on how they came.

    Raises ValueError for names that repeat or differ, values outside [0, 1], and errors that are no finite
    number of at least 0.
    """

    values: pd.DataFrame
    errors: pd.DataFrame
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for axis, names in (("source", self.values.index), ("task", self.values.columns)):
            if len(names) == 0:
                raise ValueError(f"utility: no {axis}s")
            repeated = sorted({str(name) for name in names[names.duplicated()]})
            if repeated:
                raise ValueError(f"utility: {axis} names {repeated} stand twice; each may stand once")
        if not (
            self.values.index.equals(self.errors.index) and self.values.columns.equals(self.errors.columns)
        ):
            raise ValueError("utility: values and errors need the same sources and tasks in the same order")
        values, errors = self.values.to_numpy(float), self.errors.to_numpy(float)
        self._refuse(~((values >= 0) & (values <= 1)), values, "value", "from 0 to 1")
        self._refuse(
            ~(np.isfinite(errors) & (errors >= 0)), errors, "standard error", "finite and at least 0"
        )

    def _refuse(self, wrong: np.ndarray, cells: np.ndarray, what: str, allowed: str) -> None:
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            raise ValueError(
                f"utility: {what} of source {self.values.index[i]!r} for task {self.values.columns[j]!r} is "
                f"{cells[i, j]}: must be {allowed}"
            )

    def rows(self) -> list[dict[str, Any]]:
        """One {"source", "task", "value", "stderr"} a cell, as the catalog keeps them."""
        return [
            {
                "source": str(source),
                "task": str(task),
                "value": float(self.values.loc[source, task]),
                "stderr": float(self.errors.loc[source, task]),
            }
            for source in self.values.index
            for task in self.values.columns
        ]

    def save(self, folder: Path) -> None:
        """Writes utility.parquet (source, task, value, stderr) and about.json into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(self.rows()).to_parquet(folder / "utility.parquet", index=False)
        text = json.dumps(self.about, indent=2, allow_nan=False)
        (folder / "about.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> UtilityMatrix:
        """Reads what `save` wrote."""
        rows = pd.read_parquet(folder / "utility.parquet")
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        return cls.from_rows(rows, about)

    @classmethod
    def from_rows(cls, rows: pd.DataFrame, about: dict[str, Any]) -> UtilityMatrix:
        """From columns source, task, value, stderr with one row a cell; names in order of appearance."""
        sources, tasks = list(dict.fromkeys(rows["source"])), list(dict.fromkeys(rows["task"]))
        cells = rows.set_index(["source", "task"])
        values = cells["value"].unstack().loc[sources, tasks]
        errors = cells["stderr"].unstack().loc[sources, tasks]
        for frame in (values, errors):
            frame.index.name = frame.columns.name = None
        return cls(values, errors, about)
