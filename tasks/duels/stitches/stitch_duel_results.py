"""What the duel shows: bits per byte by domain, the share of each expert's gain that is kept, and who is better.

With B(m) the bits per byte of model m on an expert's own domain,

    kept = (B(seed) - B(m)) / (B(seed) - B(expert)),

1 where nothing of the expert's gain is lost, 0 where all is, below 0 where m is worse than the seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.duels.mixtures.mixture_duel_results import mean_interval
from tasks.duels.stitches.cross_problems import TASKS as CROSS_TASKS
from tasks.duels.stitches.probes import SWITCHING
from tasks.duels.stitches.settings import AVERAGE
from tasks.evaluation.metrics import BITS_PER_BYTE, bits_per_byte_by_source

CROSS, CROSS_BITS = "cross-accuracy", "cross-bits"


@dataclass(frozen=True)
class Scored:
    """A model of the duel: its name, the seed of its runs, its score rows (task, metric, value)."""

    model: str
    random_seed: int
    scores: list[dict[str, Any]]


def measured(scored: Iterable[Scored], domains: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """One row a model and seed: bits per byte of every domain (mean over its sources), their average, and probes.

    switching: bits per byte of documents that switch domain. cross-accuracy, cross-bits: mean over the
    cross-capability tasks of accuracy, and of bits per byte of the right solution.
    """
    rows = []
    for one in scored:
        bits = bits_per_byte_by_source(one.scores)
        by_domain = {
            domain: float(np.mean([bits[source] for source in sources]))
            for domain, sources in domains.items()
        }
        cross = {
            metric: float(
                np.mean(
                    [s["value"] for s in one.scores if s["task"] in CROSS_TASKS and s["metric"] == metric]
                )
            )
            for metric in ("acc", BITS_PER_BYTE)
        }
        rows.append(
            {
                "model": one.model,
                "seed": one.random_seed,
                **by_domain,
                AVERAGE: float(np.mean(list(by_domain.values()))),
                SWITCHING: bits[SWITCHING],
                CROSS: cross["acc"],
                CROSS_BITS: cross[BITS_PER_BYTE],
            }
        )
    return pd.DataFrame(rows)


def means(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean over seeds with its t interval: a row a model and measure."""
    measures = [column for column in table.columns if column not in ("model", "seed")]
    return [
        {"model": model, "measure": measure, "seeds": len(group), **_interval(group[measure])}
        for model, group in table.groupby("model", sort=False)
        for measure in measures
    ]


def gains(table: pd.DataFrame, experts: Sequence[str]) -> list[dict[str, Any]]:
    """How much better than the seed each expert is on its own domain, as a share of the seed's bits per byte."""
    rows = []
    for expert in experts:
        seed, own = (_by_seed(table, model, expert) for model in ("seed", expert))
        rows.append({"expert": expert, **_interval((seed - own) / seed)})
    return rows


def kept(table: pd.DataFrame, experts: Sequence[str]) -> list[dict[str, Any]]:
    """The share of each expert's own-domain gain that each other model keeps, and their mean over experts."""
    rows = []
    for model in [m for m in dict.fromkeys(table["model"]) if m not in ("seed", *experts)]:
        shares = []
        for expert in experts:
            seed, own, ours = (_by_seed(table, name, expert) for name in ("seed", expert, model))
            share = ((seed - ours) / (seed - own)).dropna()
            shares.append(share)
            rows.append({"model": model, "expert": expert, **_interval(share)})
        rows.append({"model": model, "expert": "mean", **_interval(pd.concat(shares, axis=1).mean(axis=1))})
    return rows


def differences(
    table: pd.DataFrame, champions: Sequence[str], measures: Sequence[str]
) -> list[dict[str, Any]]:
    """How many bits per byte fewer each champion has than each other model, paired by seed."""
    rows = []
    for champion in champions:
        for other in [m for m in dict.fromkeys(table["model"]) if m not in champions]:
            for measure in measures:
                gap = (_by_seed(table, other, measure) - _by_seed(table, champion, measure)).dropna()
                rows.append({"champion": champion, "other": other, "measure": measure, **_interval(gap)})
    return rows


def ranks(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Models by their average bits per byte over seeds, best first."""
    averages = table.groupby("model", sort=False)[AVERAGE].mean().sort_values()
    return [
        {"rank": number, "model": model, AVERAGE: value}
        for number, (model, value) in enumerate(averages.items(), 1)
    ]


def _by_seed(table: pd.DataFrame, model: str, measure: str) -> pd.Series:
    return table[table["model"] == model].set_index("seed")[measure]


def _interval(values: pd.Series) -> dict[str, float | None]:
    return dict(zip(("mean", "low", "high"), mean_interval(values.to_numpy(float)), strict=True))
