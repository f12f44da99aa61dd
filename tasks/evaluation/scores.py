"""Scores: what models reached on tasks, with standard errors, and every sample behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from tasks.evaluation.stopping import AskedItems

COLUMNS = ("model", "task", "metric", "value", "stderr", "n")
SAMPLE_COLUMNS = ("model", "task", "item", "metric", "value", "prediction", "target", "outputs")
TYPES = {"value": float, "stderr": float, "n": int}


@dataclass(frozen=True)
class Scores:
    """One row a model, task and metric in `frame`; one row a sample and metric in `samples`.

    `stderr` is NaN only where a task has a single sample. `outputs` holds what the model gave, as JSON:
    log-likelihoods (nats) and whether each is the greedy text, or the text generated. `harness`: what
    lm-evaluation-harness itself gave, where it was just run; it is not saved. Where asking could end before all items
    were asked, `stops` says where it did, a row a task, and `asked` holds the values by (model, task,
    metric); neither is saved.
    """

    frame: pd.DataFrame
    samples: pd.DataFrame
    harness: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    asked: Mapping[tuple[str, str, str], AskedItems] = field(default_factory=dict, compare=False, repr=False)
    stops: Sequence[dict[str, Any]] = field(default=(), compare=False)

    @classmethod
    def from_rows(cls, rows: Sequence[dict[str, Any]], samples: Sequence[dict[str, Any]]) -> Scores:
        frame = pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(TYPES)
        return cls(frame, pd.DataFrame(list(samples), columns=list(SAMPLE_COLUMNS)).astype({"value": float}))

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of several models or tasks as one."""
        return cls(
            pd.concat([part.frame for part in parts], ignore_index=True),
            pd.concat([part.samples for part in parts], ignore_index=True),
            parts[0].harness if parts else {},
            {key: asked for part in parts for key, asked in part.asked.items()},
            [row for part in parts for row in part.stops],
        )

    def rows(self) -> list[dict[str, Any]]:
        """The frame as plain numbers and strings, a NaN standard error as None: JSON has no NaN."""
        rows = json.loads(self.frame.to_json(orient="records", double_precision=15))
        return [dict(row) for row in rows]

    def save(self, folder: Path) -> None:
        """Write `scores.parquet` and `samples.parquet` into the folder, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        self.frame.to_parquet(folder / "scores.parquet", index=False)
        self.samples.to_parquet(folder / "samples.parquet", index=False)

    @classmethod
    def load(cls, folder: Path) -> Scores:
        """Scores that `save` wrote; ValueError where a file is missing."""
        for name in ("scores.parquet", "samples.parquet"):
            if not (folder / name).is_file():
                raise ValueError(f"{folder}: no saved scores there: {name} is missing")
        return cls(pd.read_parquet(folder / "scores.parquet"), pd.read_parquet(folder / "samples.parquet"))
