"""Standard errors of scores over items, whatever the aggregation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MAX_GROUPS = 100


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float]:
    """Sum of the numerators over sum of the denominators, and its standard error over items.

    Delta method for the ratio R of n items: sqrt(n/(n-1) * sum((y_i - R x_i)^2)) / sum(x_i); NaN for n = 1.
    """
    y, x = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    value = y.sum() / x.sum()
    if len(y) < 2:
        return float(value), math.nan
    spread = len(y) / (len(y) - 1) * np.square(y - value * x).sum()
    return float(value), float(np.sqrt(spread) / x.sum())


def mean_error(values: Sequence[float]) -> float:
    """Sample standard deviation over sqrt(n); NaN for n = 1."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def jackknife_error(aggregate: Callable[[list[Any]], float], values: Sequence[Any]) -> float:
    """Standard error of any aggregation, leaving out one of at most 100 groups of items at a time.

    sqrt((G-1)/G * sum((a_g - mean(a))^2)); a mean with one item a group gives `mean_error`. NaN for n = 1.
    """
    num_groups = min(len(values), MAX_GROUPS)
    if num_groups < 2:
        return math.nan
    left_out = [
        aggregate([value for i, value in enumerate(values) if i % num_groups != group])
        for group in range(num_groups)
    ]
    return float(np.sqrt((num_groups - 1) * np.var(left_out)))


def weighted_mean_error(errors: Sequence[float], weights: Sequence[float]) -> float:
    """Standard error of a weighted mean of independent scores."""
    shares = np.asarray(weights, dtype=float) / np.sum(weights)
    return float(np.sqrt(np.square(shares * np.asarray(errors, dtype=float)).sum()))
