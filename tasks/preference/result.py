"""The forecast as other stages read it: tables, facts and sentences, in memory and in a folder."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FRAMES = ("correlations", "validation", "loo", "rows")


@dataclass(frozen=True)
class Forecast:
    """Ratings forecast for a run's models, and the evidence for them.

    correlations: see `correlation.correlate`.
    validation: scheme (leave-one-model-out, leave-one-family-out); method (the chosen one and the baselines);
    rmse, low, high; ratio, ratio_low, ratio_high (RMSE of the chosen method over this one's: below 1, the
    chosen one is better); n.
    loo: model, truth, and predicted, low, high from the other models alone.
    rows: the run's models: rating, low, high; leverage against the largest fitted one; `outside`, the
    benchmarks on which it lies beyond the fitted models; extrapolates; `missing`, the benchmarks it lacks:
    then no rating.
    about: the facts (rating and unit, benchmarks, n, method, measured coverage, sources).
    notes: plain sentences on what the numbers can carry.
    """

    correlations: pd.DataFrame
    validation: pd.DataFrame
    loo: pd.DataFrame
    rows: pd.DataFrame
    about: dict[str, Any]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON-ready values: None for what is not finite, lists for `missing` and `outside`."""
        frames = {name: _records(getattr(self, name)) for name in FRAMES}
        for row in frames["rows"]:
            for column in ("missing", "outside"):
                row[column] = [name for name in row[column].split(", ") if name]
        return {"about": self.about, **frames, "notes": list(self.notes)}

    def save(self, folder: Path) -> None:
        """Writes one Parquet file a table and forecast.json into `folder`, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in FRAMES:
            getattr(self, name).to_parquet(folder / f"{name}.parquet", index=False)
        text = json.dumps(self.to_json(), indent=2, allow_nan=False)
        (folder / "forecast.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Forecast:
        """Reads what `save` wrote."""
        told = json.loads((folder / "forecast.json").read_text(encoding="utf-8"))
        frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
        return cls(**frames, about=told["about"], notes=tuple(told["notes"]))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = [str(name) for name in frame.columns]
    return [
        {name: _json_value(cell) for name, cell in zip(columns, row, strict=True)}
        for row in frame.itertuples(index=False, name=None)
    ]


def _json_value(cell: Any) -> Any:
    if isinstance(cell, np.generic):
        cell = cell.item()
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
