"""Pearson, Spearman and Kendall of every benchmark with every category, tested by permuting the models.

A pair counts the models that have both figures. Its null distribution permutes the ratings of those models, all
pairs by the same draw: every draw gives each model a random key, and a pair's models are ordered by their keys. So
pairs on the same models are permuted alike, as the guard over all of them needs (`family_wise`). The guard also takes
in the mean Pearson r of each benchmark over the categories and of each category over the benchmarks.

Residuals are not exchangeable: where a part is removed p is approximate whatever the number of orders. For Pearson the
permuted residuals are freed of the part again (Freedman and Lane 1983), for ranks they are permuted as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations as orderings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.preference.association.family_wise import (
    MOST_EXACT,
    TIE,
    Draws,
    draws_of,
    family_wise,
    mean_heights,
    pair_heights,
)
from tasks.preference.association.pair_groups import STATISTICS, PairGroup, coefficients_in, groups_of
from tasks.preference.sheets.joining import Paired

Array = NDArray[np.float64]
COLUMNS = [
    "benchmark",
    "target",
    "removed",
    "statistic",
    "n",
    "missing",
    "value",
    "p",
    "test",
    "p_family_wise",
]
EXACT, RANDOM = "exact permutation", "random permutation"
FREEDMAN_LANE, RESIDUALS = "Freedman-Lane permutation", "permuted residuals"
CLOSE = 0.999999


@dataclass(frozen=True)
class GuardedPairs:
    """Everything that is tested, under one guard.

    pairs: one row a benchmark, target, part removed ('', log parameters, general factor) and statistic. n: models with
    both figures (and the part removed); missing: shared models that lack one. value is NaN where a side does not vary.
    p: two-sided, of the pair by itself; test: what it rests on. p_family_wise: over all that stands here. benchmarks,
    targets: name, p and p_family_wise of its mean Pearson r (by Fisher's z), NaN where there is none. count: of tests;
    orders: draws, all n! where exact.
    """

    pairs: pd.DataFrame
    benchmarks: pd.DataFrame
    targets: pd.DataFrame
    count: int
    orders: int
    exact: bool


def guarded_pairs(
    data: Paired, permutations: int, random_seed: int, overall: str | None = None
) -> GuardedPairs:
    """Tests every pair in every way. overall: the category that is the general factor; None: the mean of the others."""
    if overall is not None and overall not in data.targets:
        raise ValueError(f"overall={overall!r}: no such category; there are {data.targets}")
    groups = groups_of(data, overall)
    draws = draws_of(len(data.models), permutations, random_seed)
    if not groups:
        none = pd.DataFrame(columns=COLUMNS), _untested(data.benchmarks), _untested(data.targets)
        return GuardedPairs(*none, count=0, orders=len(draws.keys), exact=draws.exact)
    return _tested(data, groups, draws)


def _untested(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"name": names, "p": np.nan, "p_family_wise": np.nan})


def _tested(data: Paired, groups: list[tuple[str, PairGroup]], draws: Draws) -> GuardedPairs:
    models = len(data.models)
    largest = np.zeros(len(draws.keys))
    means = _Means(data, len(draws.keys))
    parts_of_table, heights = [], []
    for removed, group in groups:
        size, parts = len(group.rows), int(group.removed is not None)
        chosen = np.array([[(j, k) in group.wanted for j in group.benchmarks] for k in group.targets])
        found = coefficients_in(group, np.vstack([np.arange(size), draws.orders(group.rows)]))
        observed, null = found[:, 0], found[:, 1:]
        own = _chances(group, observed, null, draws, models)
        if not removed:
            means.add(group, chosen, observed[0], null[0])
        tallest = np.where(chosen, np.abs(np.nan_to_num(null)), 0).max((2, 3))
        largest = np.maximum(largest, pair_heights(tallest, size, parts).max(0))
        there = np.abs(np.nan_to_num(observed))
        heights.append(pair_heights(np.maximum(there - TIE, 0), size, parts)[:, chosen].T.ravel())
        parts_of_table.append(
            _rows(data, removed, group, chosen, (observed, own), draws.exact or size <= MOST_EXACT)
        )
    benchmarks, targets = means.tested(draws)
    largest = np.maximum(largest, np.maximum(benchmarks.largest, targets.largest))
    frame = pd.DataFrame(
        {name: np.concatenate([part[name] for part in parts_of_table]) for name in parts_of_table[0]}
    )
    together = family_wise(np.concatenate(heights), largest, draws)
    frame["p_family_wise"] = np.where(frame["value"].isna(), 1.0, np.maximum(together, frame["p"]))
    known = int(frame["value"].notna().sum())
    count = known + int(np.isfinite(benchmarks.p).sum() + np.isfinite(targets.p).sum())
    sides = benchmarks.frame(draws, largest), targets.frame(draws, largest)
    return GuardedPairs(frame[COLUMNS], *sides, count=count, orders=len(draws.keys), exact=draws.exact)


def _chances(group: PairGroup, observed: Array, null: Array, draws: Draws, models: int) -> Array:
    """p (3, K, J) of each pair by itself: over all orders of its own models where they are few."""
    strength = np.abs(observed)[:, None] - TIE
    if len(group.rows) <= MOST_EXACT < models:
        every = coefficients_in(group, np.array(list(orderings(range(len(group.rows))))))
        p = (np.abs(every) >= strength).mean(1)
    else:
        p = draws.chance((np.abs(null) >= strength).sum(1))
    return np.where(np.isfinite(observed), p, 1.0)


def _rows(
    data: Paired,
    removed: str,
    group: PairGroup,
    chosen: NDArray[np.bool_],
    told: tuple[Array, Array],
    exact: bool,
) -> dict[str, np.ndarray]:
    """One row a chosen pair and statistic; told: value and p of each (3, K, J)."""
    k, j = np.nonzero(chosen)
    pairs, size = len(k), len(group.rows)
    value, p = (numbers[:, chosen].T.ravel() for numbers in told)
    rows = len(value)
    return {
        "benchmark": np.repeat(np.array(data.benchmarks, object)[np.array(group.benchmarks)[j]], 3),
        "target": np.repeat(np.array(data.targets, object)[np.array(group.targets)[k]], 3),
        "removed": np.full(rows, removed, object),
        "statistic": np.tile(np.array(STATISTICS, object), pairs),
        "n": np.full(rows, size),
        "missing": np.full(rows, len(data.models) - size),
        "value": value,
        "p": p,
        "test": np.tile(np.array([_resting_on(removed, name, exact) for name in STATISTICS], object), pairs),
    }


def _resting_on(removed: str, statistic: str, exact: bool) -> str:
    """What the p of a pair rests on: exact only where figures as they are go through all orders."""
    if removed:
        return FREEDMAN_LANE if statistic == "pearson" else RESIDUALS
    return EXACT if exact else RANDOM


@dataclass(frozen=True)
class _Side:
    """Mean r of each name: observed z (m,), NaN where there is none, p and height (m,); the largest of each draw."""

    names: list[str]
    p: Array
    heights: Array
    largest: Array

    def frame(self, draws: Draws, largest: Array) -> pd.DataFrame:
        together = np.maximum(family_wise(self.heights, largest, draws), self.p)
        return pd.DataFrame({"name": self.names, "p": self.p, "p_family_wise": together})


class _Means:
    """Sums of Fisher's z of Pearson r by benchmark and by category, observed (row 0) and of each draw."""

    def __init__(self, data: Paired, draws: int) -> None:
        self.models = len(data.models)
        self.names = data.benchmarks, data.targets
        self.sums = [np.zeros((draws + 1, len(names))) for names in self.names]
        self.counts = [np.zeros(len(names)) for names in self.names]

    def add(self, group: PairGroup, chosen: NDArray[np.bool_], observed: Array, null: Array) -> None:
        r = np.concatenate([observed[None], null])
        there = chosen & np.isfinite(observed)
        z = np.where(there, np.arctanh(np.nan_to_num(r).clip(-CLOSE, CLOSE)), 0)
        for side, places, axis in ((0, group.benchmarks, 0), (1, group.targets, 1)):
            self.sums[side][:, places] += z.sum(axis + 1)
            self.counts[side][places] += there.sum(axis)

    def tested(self, draws: Draws) -> tuple[_Side, _Side]:
        found = []
        for names, sums, counts in zip(self.names, self.sums, self.counts, strict=True):
            strength = np.abs(sums / np.maximum(counts, 1))
            deviation = np.sqrt((strength**2).mean(0))
            reached = (strength[1:] >= strength[0] - TIE).sum(0)
            p = np.where(counts > 0, draws.chance(reached), np.nan)
            heights = mean_heights(
                np.vstack([np.maximum(strength[:1] - TIE, 0), strength[1:]]), deviation, self.models
            )
            found.append(_Side(list(names), p, heights[0], heights[1:].max(1)))
        return found[0], found[1]
