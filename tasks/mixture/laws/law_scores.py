"""How well losses were predicted: rank correlation with its interval, and what choosing by the prediction costs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.mixture.solver.capped_simplex import Array

RESAMPLES = 1000
COVERAGE = 0.95


def ranks(values: Array) -> Array:
    """Ranks along the last axis, ties sharing their mean."""
    from scipy.stats import rankdata

    return rankdata(values, axis=-1)


def spearman(predicted: Array, observed: Array) -> float:
    """Spearman's rank correlation of two (n,); nan where either is constant or n < 2."""
    return float(_correlation(ranks(predicted), ranks(observed)))


def _correlation(left: Array, right: Array) -> Array:
    left = left - left.mean(axis=-1, keepdims=True)
    right = right - right.mean(axis=-1, keepdims=True)
    size = np.sqrt((left**2).sum(axis=-1) * (right**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, (left * right).sum(axis=-1) / size, np.nan)


def spearman_interval(predicted: Array, observed: Array) -> tuple[float, float]:
    """95% percentile interval of Spearman over 1000 resamples of the runs (seed 0); nan below 4 runs."""
    n = len(predicted)
    if n < 4:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).integers(0, n, size=(RESAMPLES, n))
    values = _correlation(ranks(predicted[drawn]), ranks(observed[drawn]))
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return float("nan"), float("nan")
    tail = 50 * (1 - COVERAGE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def regret(predicted: Array, observed: Array, top: int) -> float:
    """The least observed among the `top` runs of least predicted, less the least of all; (n,) each.

    Where predictions tie at the edge of the top, the expected value over which of them is taken.
    """
    order = np.argsort(predicted, kind="stable")
    top = min(top, len(order))
    edge = predicted[order[top - 1]]
    sure = observed[predicted < edge]
    tied = np.sort(observed[predicted == edge])
    taken = top - len(sure)
    best_sure = float(sure.min()) if len(sure) else np.inf
    # The least of `taken` drawn from the tied: P(it is the i-th) by falling products.
    expected, still, n = 0.0, 1.0, len(tied)
    for i, value in enumerate(tied):
        hit = min(taken / (n - i), 1.0)
        expected += still * hit * min(float(value), best_sure)
        still *= 1 - hit
        if still <= 0:
            break
    return expected - float(observed.min())


def scored(predicted: pd.DataFrame, observed: pd.DataFrame) -> dict:
    """Spearman by loss and of the mean of the losses with intervals, and regret of the mean at 1 and 5.

    predicted, observed: runs x losses in the same order.
    """
    by_loss = {
        name: _one(predicted[name].to_numpy(float), observed[name].to_numpy(float)) for name in observed
    }
    mean_predicted = predicted.to_numpy(float).mean(axis=1)
    mean_observed = observed.to_numpy(float).mean(axis=1)
    mean = _one(mean_predicted, mean_observed)
    return {
        "spearman_mean": mean[0],
        "spearman_mean_interval": list(mean[1]),
        "spearman": {name: value for name, (value, _) in by_loss.items()},
        "spearman_interval": {name: list(interval) for name, (_, interval) in by_loss.items()},
        "regret": {f"top_{top}": regret(mean_predicted, mean_observed, top) for top in (1, 5)},
        "runs": len(observed),
    }


def _one(predicted: Array, observed: Array) -> tuple[float, tuple[float, float]]:
    return spearman(predicted, observed), spearman_interval(predicted, observed)
