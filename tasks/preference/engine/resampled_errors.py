"""Root mean squared errors, and their ratios to a baseline's, with intervals over resampled families of models."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Groups = NDArray[np.intp]


def rmse_interval(
    errors: Array, families: Groups, confidence: float, bootstraps: int, random_seed: int
) -> Array:
    """RMSE of errors (n,) with its percentile interval over resampled families: [rmse, low, high]."""
    draws = np.sqrt(_family_means(errors**2, families, bootstraps, random_seed))
    tail = (1 - confidence) / 2
    return np.array([np.sqrt((errors**2).mean()), *np.quantile(draws, [tail, 1 - tail])])


def rmse_ratio_interval(
    errors: Array, baseline: Array, families: Groups, confidence: float, bootstraps: int, random_seed: int
) -> Array:
    """RMSE over the baseline's RMSE, both on the same resampled families: [ratio, low, high].

    In a resample whose baseline has no error the ratio is 1 where there is no error either, else infinite.
    """
    ours = _family_means(errors**2, families, bootstraps, random_seed)
    theirs = _family_means(baseline**2, families, bootstraps, random_seed)
    over_zero = np.where(ours > 0, np.inf, 1.0)
    draws = np.sort(np.sqrt(np.divide(ours, theirs, out=over_zero, where=theirs > 0)))
    tail = (1 - confidence) / 2
    ratio = np.sqrt((errors**2).mean() / (baseline**2).mean())
    if np.isfinite(draws[-1]):
        return np.array([ratio, *np.quantile(draws, [tail, 1 - tail])])
    # No value lies between a finite draw and an infinite one: the draws next to the quantiles, on the wide side.
    last = len(draws) - 1
    return np.array([ratio, draws[math.floor(tail * last)], draws[math.ceil((1 - tail) * last)]])


def _family_means(values: Array, families: Groups, bootstraps: int, random_seed: int) -> Array:
    kinds, members = np.unique(families, return_inverse=True)
    rng = np.random.default_rng([random_seed, 2])
    drawn = rng.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), size=bootstraps)
    weights = drawn[:, members]
    return (weights @ values) / weights.sum(1)
