"""Pearson, Spearman and Kendall of every benchmark with every category, tested by permuting the models.

A pair counts the models that have both figures. Its null distribution permutes the ratings of those models, all
pairs by the same draw: every draw gives each model a random key, and a pair's models are ordered by their keys.
So pairs on the same models are permuted alike, which the family-wise test needs (Westfall and Young 1993): its
p-value is the share of draws in which the largest |coefficient| of all pairs, each over its null deviation at
its own n, reaches the observed one. Benjamini-Hochberg q-values stand beside it; those know nothing of how pairs
depend on each other, so that among categories which hardly differ fewer pairs may pass them than hold family-wise.

A part is removed from both sides by linear regression before ranks are taken: log parameters, or the general
factor, that is the mean of the other standardised categories (or one named category). The permuted residuals
are freed of it again for Pearson (Freedman and Lane 1983). The part is itself measured with error, which then
stays on both sides: what is left is association beyond the *measured* part, and the more categories there are
the smaller that error.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import permutations as orderings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from tasks.preference.sheets.joining import Paired

Array = NDArray[np.float64]
STATISTICS = ("pearson", "spearman", "kendall")
COLUMNS = [
    "benchmark",
    "target",
    "removed",
    "statistic",
    "n",
    "missing",
    "value",
    "p",
    "exact",
    "p_family_wise",
    "q",
]
LOG_PARAMS, GENERAL = "log parameters", "general factor"
MOST_EXACT = 7
_TIE = 1e-9
_CELLS_AT_ONCE = 3_000_000


@dataclass(frozen=True)
class _Group:
    """Pairs on the same models with the same part removed: columns (J, n) and targets (K, n) of residuals."""

    rows: NDArray[np.intp]
    benchmarks: list[int]
    targets: list[int]
    wanted: set[tuple[int, int]]
    x: Array
    y: Array
    removed: Array | None


def pair_table(data: Paired, permutations: int, random_seed: int, overall: str | None = None) -> pd.DataFrame:
    """One row a benchmark, target, part removed ('', log parameters, general factor) and statistic.

    n: models with both figures (and the part removed); missing: shared models that lack one. value is NaN where
    a side does not vary. p: two-sided, over all n! orders where `exact`, else over random ones with the
    observed order counted in. overall: the category taken for the general factor; None: the mean of the others.
    """
    if overall is not None and overall not in data.targets:
        raise ValueError(f"overall={overall!r}: no such category; there are {data.targets}")
    frames = [
        _tested(data, removed, groups, permutations, random_seed)
        for removed, groups in (
            ("", _plain_groups(data, None)),
            (LOG_PARAMS, _plain_groups(data, data.log_params)),
            (GENERAL, _general_groups(data, overall)),
        )
        if groups
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def general_factor(ratings: Array, target: int, overall: int | None) -> Array:
    """Mean of the standardised other categories of each model (n,), or the overall category; NaN where none."""
    if overall is not None:
        return ratings[:, overall]
    others = np.delete(ratings, target, axis=1)
    known = np.isfinite(others)
    count = np.maximum(known.sum(0), 1)
    centre = np.where(known, others, 0).sum(0) / count
    spread = np.sqrt((np.where(known, others - centre, 0) ** 2).sum(0) / count)
    z = np.where(known, (others - centre) / np.where(spread > 0, spread, 1), 0)
    total = known.sum(1)
    return np.divide(z.sum(1), total, out=np.full(len(ratings), np.nan), where=total > 0)


def _plain_groups(data: Paired, part: Array | None) -> list[_Group]:
    least = 3 if part is None else 4
    if part is not None and len(np.unique(part[np.isfinite(part)])) < 2:
        return []
    by_mask: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    masks: dict[bytes, NDArray[np.bool_]] = {}
    for j in range(len(data.benchmarks)):
        for k in range(len(data.targets)):
            mask = np.isfinite(data.scores[:, j]) & np.isfinite(data.ratings[:, k])
            if part is not None:
                mask &= np.isfinite(part)
            if mask.sum() >= least:
                masks[mask.tobytes()] = mask
                by_mask[mask.tobytes()].append((j, k))
    return [_group(data, np.flatnonzero(masks[key]), found, part) for key, found in by_mask.items()]


def _general_groups(data: Paired, overall: str | None) -> list[_Group]:
    if len(data.targets) < 2:
        return []
    chosen = None if overall is None else data.targets.index(overall)
    groups = []
    for k in range(len(data.targets)):
        if k == chosen:
            continue
        part = general_factor(data.ratings, k, chosen)
        one = np.isfinite(data.ratings[:, k]) & np.isfinite(part)
        by_mask: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        masks: dict[bytes, NDArray[np.bool_]] = {}
        for j in range(len(data.benchmarks)):
            mask = one & np.isfinite(data.scores[:, j])
            if mask.sum() >= 4:
                masks[mask.tobytes()] = mask
                by_mask[mask.tobytes()].append((j, k))
        groups += [_group(data, np.flatnonzero(masks[key]), found, part) for key, found in by_mask.items()]
    return groups


def _group(data: Paired, rows: NDArray[np.intp], wanted: list[tuple[int, int]], part: Array | None) -> _Group:
    benchmarks = sorted({j for j, _ in wanted})
    targets = sorted({k for _, k in wanted})
    x, y = data.scores[rows][:, benchmarks].T, data.ratings[rows][:, targets].T
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    z = None
    if part is not None:
        z = part[rows] - part[rows].mean()
        length = np.linalg.norm(z)
        z = z / length if length > 1e-12 else z * 0
        x, y = x - np.outer(x @ z, z), y - np.outer(y @ z, z)
    return _Group(rows, benchmarks, targets, set(wanted), x, y, z)


def _tested(
    data: Paired, removed: str, groups: list[_Group], permutations: int, random_seed: int
) -> pd.DataFrame:
    n = len(data.models)
    keys = np.random.default_rng([random_seed, len(removed)]).random((permutations, n))
    sizes = {len(group.rows) for group in groups}
    all_exact = len(groups) == 1 and max(sizes) <= MOST_EXACT
    largest: Array | None = None
    rows = []
    for group in groups:
        size = len(group.rows)
        exact = size <= MOST_EXACT
        observed = _observed(group)
        deviation = null_deviation(size)
        drawn = _null(group, np.argsort(keys[:, group.rows], axis=1)) if not all_exact else None
        every = _null(group, np.array(list(orderings(range(size))))) if exact else None
        null = every if every is not None else drawn
        assert null is not None
        strength = np.abs(observed)
        reached = (np.abs(null) >= strength[:, None] - _TIE).sum(1)
        p = reached / null.shape[1] if exact else (reached + 1) / (null.shape[1] + 1)
        family = every if drawn is None else drawn
        assert family is not None
        chosen = np.array([[(j, k) in group.wanted for j in group.benchmarks] for k in group.targets])
        height = np.where(chosen, np.abs(np.nan_to_num(family)), 0).max((2, 3)) / deviation[:, None]
        largest = height if largest is None else np.maximum(largest, height)
        for a, k in enumerate(group.targets):
            for b, j in enumerate(group.benchmarks):
                if chosen[a, b]:
                    for s, statistic in enumerate(STATISTICS):
                        value = observed[s, a, b]
                        chance = p[s, a, b] if np.isfinite(value) else 1.0
                        names = data.benchmarks[j], data.targets[k], removed, statistic
                        rows.append([*names, size, n - size, value, chance, exact, deviation[s], s])
    assert largest is not None
    return _with_families(rows, largest, all_exact)


def _with_families(rows: list[list], largest: Array, exact: bool) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*COLUMNS[:9], "deviation", "which"])
    extra = 0 if exact else 1
    family_wise, q = np.ones(len(frame)), np.ones(len(frame))
    for s in range(len(STATISTICS)):
        here = np.flatnonzero((frame["which"] == s) & np.isfinite(frame["value"]))
        if not len(here):
            continue
        part = frame.iloc[here]
        height = (part["value"].abs() / part["deviation"]).to_numpy() - _TIE
        ordered = np.sort(largest[s])
        reached = len(ordered) - np.searchsorted(ordered, height, side="left")
        family_wise[here] = np.maximum((reached + extra) / (len(ordered) + extra), part["p"].to_numpy())
        q[here] = stats.false_discovery_control(part["p"].to_numpy())
    frame["p_family_wise"], frame["q"] = family_wise, q
    return frame[COLUMNS].astype({"exact": bool})


def _observed(group: _Group) -> Array:
    """The three statistics of every target and benchmark of a group (3, K, J)."""
    return _null(group, np.arange(len(group.rows))[None])[:, 0]


def _null(group: _Group, orders: NDArray[np.intp]) -> Array:
    """The statistics (3, B, K, J) with the targets' residuals in each of the orders (B, n)."""
    x = _unit(group.x)
    ranks_x, ranks_y = _unit(_ranks(group.x)), _unit(_ranks(group.y))
    first, second = np.triu_indices(len(group.rows), 1)
    signs_x = np.sign(_rounded(group.x)[:, first] - _rounded(group.x)[:, second]).astype(np.float32)
    untied_x = np.abs(signs_x).sum(1)
    y_round = _rounded(group.y)
    untied_y = np.abs(np.sign(y_round[:, first] - y_round[:, second])).sum(1)
    scale = np.sqrt(np.outer(untied_y, untied_x))
    found = np.empty((3, len(orders), len(group.y), len(group.x)))
    size = max(1, _CELLS_AT_ONCE // max(1, len(first) * len(group.y)))
    varying = (np.linalg.norm(ranks_y, axis=1)[:, None] > 0.5) & (np.linalg.norm(ranks_x, axis=1) > 0.5)
    for at in range(0, len(orders), size):
        order = orders[at : at + size]
        there = slice(at, at + len(order))
        y = group.y[:, order].transpose(1, 0, 2)
        if group.removed is not None:
            y = y - (y @ group.removed)[:, :, None] * group.removed
        found[0, there] = _unit(y) @ x.T
        found[1, there] = ranks_y[:, order].transpose(1, 0, 2) @ ranks_x.T
        shuffled = y_round[:, order].transpose(1, 0, 2)
        signs_y = np.sign(shuffled[:, :, first] - shuffled[:, :, second]).astype(np.float32)
        found[2, there] = signs_y @ signs_x.T / np.where(scale > 0, scale, 1)
    return np.where(varying, found.clip(-1, 1), np.nan)


def _unit(values: Array) -> Array:
    """Rows centred and of length one; rows that do not vary are zero."""
    centred = values - values.mean(-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    largest = np.abs(values).max(-1, keepdims=True)
    return np.where(
        length > 1e-10 * np.maximum(largest, 1e-300), centred / np.where(length > 0, length, 1), 0
    )


def _rounded(values: Array) -> Array:
    """Residuals that differ by no more than rounding are ties."""
    scale = np.abs(values).max(-1, keepdims=True)
    return np.round(values / np.where(scale > 0, scale, 1), 12)


def _ranks(values: Array) -> Array:
    return stats.rankdata(_rounded(values), axis=1)


def null_deviation(n: int) -> Array:
    """Deviation of the three statistics among unrelated untied columns of n models."""
    linear = 1 / math.sqrt(n - 1)
    return np.array([linear, linear, math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))])
