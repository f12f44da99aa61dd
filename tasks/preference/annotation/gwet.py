"""Gwet's agreement coefficients AC1 and AC2, which do not collapse where one answer is far more common than the others.

For n units, r_ik annotators who gave unit i category k, r_i in all, and weights w_kl (1 on the diagonal; AC1: 0 off it)

    AC  = (p_a - p_e) / (1 - p_e),    p_e = sum(w) / (q (q - 1)) * sum_k pi_k (1 - pi_k),    pi_k = mean_i r_ik / r_i
    p_a = mean over units with r_i > 1 of  sum_k r_ik (sum_l w_kl r_il - 1) / (r_i (r_i - 1))

Gwet 2008 (AC1), Gwet 2014, Handbook of Inter-Rater Reliability, ch. 3 and 5 (AC2, ordinal weights). The package irrCAC
has them too, and needs numpy below 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DRAWS = 200
FEWEST_CATEGORIES = 2


def ordinal_weights(categories: int) -> Array:
    """w_kl = 1 - C(|k - l| + 1, 2) / C(q, 2): the further apart, the less agreement; (q, q)."""
    apart = np.abs(np.subtract.outer(np.arange(categories), np.arange(categories)))
    return np.asarray(1 - apart * (apart + 1) / (categories * (categories - 1)), float)


def agreement(counts: NDArray[Any], weights: Array | None = None) -> float:
    """AC1, or AC2 with weights (q, q), of counts (n, q); NaN where no unit has two judgements or all say the same."""
    num_categories = counts.shape[1]
    w = np.eye(num_categories) if weights is None else weights
    counts = counts[counts.sum(axis=1) > 0]
    total = counts.sum(axis=1)
    several = counts[total > 1]
    if not len(several) or num_categories < FEWEST_CATEGORIES:
        return float("nan")
    r = several.sum(axis=1)
    agreed = ((several * (several @ w.T - 1)).sum(axis=1) / (r * (r - 1))).mean()
    share = (counts / total[:, None]).mean(axis=0)
    chance = w.sum() / (num_categories * (num_categories - 1)) * (share * (1 - share)).sum()
    return float((agreed - chance) / (1 - chance))


def with_interval(
    counts: NDArray[Any], weights: Array | None, confidence: float, random_seed: int
) -> dict[str, Any]:
    """value, low and high over resampled units; None where there is none."""
    rng = np.random.default_rng([random_seed, 23])
    drawn = [agreement(counts[rng.integers(0, len(counts), len(counts))], weights) for _ in range(DRAWS)]
    known = np.array(drawn)[np.isfinite(drawn)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) >= DRAWS / 2 else (np.nan, np.nan)
    told = {"value": agreement(counts, weights), "low": float(low), "high": float(high)}
    return {name: None if np.isnan(number) else number for name, number in told.items()}
