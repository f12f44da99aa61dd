"""What a learning leaves to be looked at: weights over the steps, losses by source, Skill-it's graph and rounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tasks.training.token_plans import Array

if TYPE_CHECKING:
    from tasks.proxies.online.learning import Learnt

MOST_ROWS = 1000


def write_records(folder: Path, learnt: Learnt) -> None:
    """weights.csv (step, w_SOURCE; at most 1000 steps, evenly), logs/losses-RUN.csv of every step.

    The logs hold sequences drawn (drawn_SOURCE) and mean loss in nats a token (loss_SOURCE), empty where none
    was drawn. Of Skill-it also graph.csv (row: trained on, column: measured on) and rounds.csv (loss_SOURCE
    before each round).
    """
    weights = pd.DataFrame(learnt.traces["proxy"].weights, columns=_marked("w", learnt))
    weights.insert(0, "step", np.arange(1, len(weights) + 1))
    kept = np.unique(np.linspace(0, len(weights) - 1, min(len(weights), MOST_ROWS)).round().astype(int))
    weights.iloc[kept].to_csv(folder / "weights.csv", index=False)
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    for name, trace in learnt.traces.items():
        drawn = pd.DataFrame(trace.counts, columns=_marked("drawn", learnt))
        losses = pd.DataFrame(trace.losses, columns=_marked("loss", learnt))
        table = pd.concat([drawn, losses], axis=1)
        table.insert(0, "step", np.arange(1, len(table) + 1))
        table.to_csv(logs / f"losses-{name}.csv", index=False)
    if learnt.graph is not None:
        graph = pd.DataFrame(learnt.graph, pd.Index(learnt.sources, name="source"), learnt.sources)
        graph.to_csv(folder / "graph.csv")
        rounds = pd.DataFrame(learnt.measured, columns=_marked("loss", learnt))
        rounds.insert(0, "round", np.arange(1, len(rounds) + 1))
        rounds.to_csv(folder / "rounds.csv", index=False)


def _marked(prefix: str, learnt: Learnt) -> list[str]:
    return [f"{prefix}_{source}" for source in learnt.sources]


def late_drift(weights: Array) -> float:
    """How much the weights (steps, d) still moved: total variation between the means of the last two quarters.

    From 0 (settled) to 1; 0 for fewer than two steps.
    """
    quarter = max(1, len(weights) // 4)
    if len(weights) < 2 * quarter:
        return 0.0
    last, before = weights[-quarter:].mean(axis=0), weights[-2 * quarter : -quarter].mean(axis=0)
    return float(np.abs(last - before).sum() / 2)
