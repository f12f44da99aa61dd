"""Standard errors of scores over items, whatever the aggregation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
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
    """Sample standard deviation over sqrt(n); of a share that is 0 or 1 `share_error`. NaN for n = 1."""
    if len(values) > 1 and (set(values) == {0} or set(values) == {1}):
        return share_error(sum(values), len(values))
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def share_error(count: float, n: int) -> float:
    """Of the share count / n: the deviation of Jeffreys' posterior Beta(count + 1/2, n - count + 1/2).

    That of 0 of n is not 0: how rare a thing is that was not met in n cannot be told better. (0 of 56: .012)
    """
    a, b = count + 0.5, n - count + 0.5
    return math.sqrt(a * b / (a + b + 1)) / (a + b)


def share_interval(count: float, n: float, confidence: float) -> tuple[float, float]:
    """Wilson's interval of the share count / n (Wilson 1927), which has a width at 0 and at 1 too; n above 0."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = count / n, z * z / n
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low, high = ((share + spread / 2 + sign * half) / (1 + spread) for sign in (-1, 1))
    return max(low, 0.0) if count > 0 else 0.0, min(high, 1.0) if count < n else 1.0


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
