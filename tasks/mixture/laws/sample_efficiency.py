"""How many proxy runs a swarm needs: Spearman on held-out mixtures against the number of runs a law was fitted to.

Each law is fitted to random subsets of the runs, the same for all laws, the smaller ones parts of the larger.
A law that needs runs has no point at 0. `fusion` and the UtiliMax ranking need utilities: given as a table
known before any run, or measured on probes: for each source the run with the largest weight on it, held apart
from the swarm. Those are runs too, and are counted: fusion with probes begins at their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tasks.mixture.laws import LAWS_BY_NAME
from tasks.mixture.laws.fitted_law import fit_law
from tasks.mixture.laws.law_fit import losses_of
from tasks.mixture.laws.law_scores import spearman
from tasks.mixture.laws.run_table import RunTable

COUNTS = (0, 8, 16, 32, 64, 128, 256, 512)
METHODS = tuple(name for name in LAWS_BY_NAME if name != "auto")  # which is stacked of the others
SEEDS = 5


def efficiency(
    runs: RunTable,
    others: RunTable,
    methods: Sequence[str] = METHODS,
    counts: Sequence[int] = COUNTS,
    seeds: int = SEEDS,
    utility: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """JSON-ready: `points` (method, runs, mean, low, high, values by seed), `probes` (held apart), `words`.

    Counts above the number of runs are left out, except that the largest takes all of them. low and high: the
    least and the largest over the seeds.
    """
    if others.losses is None:
        raise ValueError(f"{others.path}: no losses; efficiency needs some to score against")
    common = [name for name in losses_of(runs).columns if name in others.losses.columns]
    if not common:
        raise ValueError(f"{runs.path} and {others.path} have no loss in common")
    weights, losses = runs.weights, losses_of(runs)[common]
    observed = others.losses[common].to_numpy(float).mean(axis=1)
    probes: list = []
    with_fusion = "fusion" in methods
    if with_fusion and utility is None:
        probes = probe_runs(weights)
        utility = probe_utility(weights, losses, probes)
    swarm = weights.index[~weights.index.isin(probes)]
    points: list[dict[str, Any]] = []
    wanted = usable_counts(counts, len(weights))
    for count in wanted:
        for method in methods:
            values = []
            for subset in _subsets(weights.index, swarm, count, method, len(probes), seeds):
                values.append(
                    _score(method, weights.loc[subset], losses.loc[subset], utility, others, observed)
                )
            if values:
                points.append(
                    {
                        "method": method,
                        "runs": count,
                        "mean": float(np.mean(values)),
                        "low": float(np.min(values)),
                        "high": float(np.max(values)),
                        "values": values,
                    }
                )
    return {
        "points": points,
        "probes": [str(name) for name in probes],
        "held_out": len(others.weights),
        "seeds": seeds,
        "counts": wanted,
        "words": _words(with_fusion, probes, seeds, 0 in wanted and not any(p["runs"] == 0 for p in points)),
    }


def usable_counts(counts: Sequence[int], num_runs: int) -> list[int]:
    """The counts up to the number of runs; one above it stands for all of them."""
    return sorted({min(count, num_runs) for count in counts})


def probe_runs(weights: pd.DataFrame) -> list:
    """For each source the run with the largest weight on it, each once, in the order of the runs."""
    chosen = {weights[source].idxmax() for source in weights.columns if weights[source].max() > 0}
    return [name for name in weights.index if name in chosen]


def probe_utility(weights: pd.DataFrame, losses: pd.DataFrame, probes: list) -> pd.DataFrame:
    """Utilities sources x losses in [0, 1]: how low the loss is in the source's probe, by min-max over the probes."""
    seen = losses.loc[probes]
    spread = (seen.max() - seen.min()).replace(0.0, 1.0)
    scaled = (seen.max() - seen) / spread
    best = {source: weights.loc[probes, source].idxmax() for source in weights.columns}
    table = pd.DataFrame({source: scaled.loc[probe] for source, probe in best.items()}).T
    never = [source for source in weights.columns if not weights[source].max() > 0]
    table.loc[never] = 0.0
    return table.clip(0.0, 1.0)


def _subsets(
    every: pd.Index, swarm: pd.Index, count: int, method: str, probes: int, seeds: int
) -> list[pd.Index]:
    """The runs to fit to, by seed; none where the method cannot be fitted to so few.

    The probes' runs go into the utility and are no part of fusion's swarm, but of its count.
    """
    pool, wanted = (swarm, count - probes) if method == "fusion" else (every, count)
    fewest = LAWS_BY_NAME[method].fewest_runs
    if wanted < fewest:
        return []
    repeats = 1 if wanted in (0, len(pool)) else seeds
    return [
        pool[np.sort(np.random.default_rng(seed).permutation(len(pool))[:wanted])] for seed in range(repeats)
    ]


def _score(
    method: str,
    weights: pd.DataFrame,
    losses: pd.DataFrame,
    utility: pd.DataFrame | None,
    others: RunTable,
    observed: np.ndarray,
) -> float:
    law = fit_law(weights, losses, method, utility=utility if method == "fusion" else None)
    value = spearman(law.predict(others.weights).to_numpy(float).mean(axis=1), observed)
    return 0.0 if np.isnan(value) else value  # The same prediction for all mixtures ranks none.


def _words(with_fusion: bool, probes: list, seeds: int, none_at_zero: bool) -> str:
    words = [f"line: mean over {seeds} random subsets of the runs; band: least to largest"]
    if probes:
        words.append(
            f"fusion: utilities from {len(probes)} runs, those most concentrated on each source, held apart from its "
            "swarm and counted"
        )
    elif with_fusion:
        words.append("fusion: utilities from the given table, known before any run")
    if none_at_zero:
        words.append("0 runs: no method has a point, for all need runs")
    return "; ".join(words)
