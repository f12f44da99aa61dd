"""One guard over everything that is tested: a single permutation of the models serves all statistics at once.

Single-step minP of Westfall and Young (1993, Resampling-Based Multiple Testing, section 2.3). Every statistic is put on
one scale by the two-sided p that it would have by itself among unrelated normal columns at its own n (Student's t for
Pearson and Spearman, a normal for Kendall and for means), no smaller than the 2/n! that n models can give; its height
is -log of that. The family-wise p of a statistic is the share of draws in which the largest height of *all* reaches
its own. The scale only shares the guard out between the statistics: that the p holds follows from the permutation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations as orderings

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.preference.association.guard import smallest_exact_p

Array = NDArray[np.float64]
MOST_EXACT = 7
TIE = 1e-9


@dataclass(frozen=True)
class Draws:
    """keys (B, n): the models of a pair are ordered by their keys in each draw. exact: all n! orders, once each."""

    keys: Array
    exact: bool

    def orders(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Orders (B, m) of some of the models; all their orders equally often where all n! are gone through."""
        return np.argsort(self.keys[:, rows], axis=1)

    def chance(self, reached: Array | NDArray[np.intp]) -> Array:
        """p of counts of draws that reach the observed; where orders are drawn, the observed one counts as well."""
        extra = 0 if self.exact else 1
        return (np.asarray(reached, float) + extra) / (len(self.keys) + extra)


def draws_of(n: int, permutations: int, random_seed: int) -> Draws:
    """All orders of at most MOST_EXACT models, else `permutations` random ones."""
    if n <= MOST_EXACT:
        return Draws(np.array(list(orderings(range(n))), float), True)
    return Draws(np.random.default_rng([random_seed, 0]).random((permutations, n)), False)


def pair_heights(strength: Array, n: int, parts: int) -> Array:
    """Heights of |Pearson|, |Spearman|, |Kendall| (3, ...) of n models with `parts` parts removed from both sides."""
    free = n - 2 - parts
    inside = strength[:2].clip(0, 1)
    student = inside * np.sqrt(free / np.maximum(1 - inside**2, 1e-300))
    logs = np.concatenate(
        [stats.t.logsf(student, free), stats.norm.logsf(strength[2:] / kendall_deviation(n))]
    )
    return _height(logs, n)


def mean_heights(strength: Array, deviation: Array, n: int) -> Array:
    """Heights of |means| (..., m) whose deviations among permuted models are (m,); one that never varies has none."""
    scaled = np.divide(strength, deviation, out=np.zeros_like(strength), where=deviation > TIE)
    return _height(stats.norm.logsf(scaled), n)


def family_wise(heights: Array, largest: Array, draws: Draws) -> Array:
    """p of heights (m,) beside the largest height of each draw (B,)."""
    ordered = np.sort(largest)
    return draws.chance(len(ordered) - np.searchsorted(ordered, heights, side="left"))


def kendall_deviation(n: int) -> float:
    """Deviation of Kendall's tau of two unrelated untied columns of n models."""
    return math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))


def _height(log_one_sided: Array, n: int) -> Array:
    floor = math.log(max(smallest_exact_p(n), 1e-300))
    return -np.clip(math.log(2) + log_one_sided, floor, 0)
