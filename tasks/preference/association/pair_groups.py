"""Pairs of benchmarks and categories on the same models, a part removed from both sides, and their three coefficients.

A part is removed by linear regression before ranks are taken: log parameters, or the general factor, that is the mean
of the other standardised categories (or one named category). The part is itself measured with error, which then stays
on both sides: what is left is association beyond the *measured* part, and the more categories there are the smaller
that error.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.preference.sheets.joining import Paired

Array = NDArray[np.float64]
STATISTICS = ("pearson", "spearman", "kendall")
FEWEST_OF_A_PAIR = 3
LOG_PARAMS, GENERAL = "log parameters", "general factor"
_CELLS_AT_ONCE = 3_000_000


@dataclass(frozen=True)
class PairGroup:
    """Pairs on the same models with the same part removed: columns (J, n) and targets (K, n) of residuals."""

    rows: NDArray[np.intp]
    benchmarks: list[int]
    targets: list[int]
    wanted: set[tuple[int, int]]
    x: Array
    y: Array
    removed: Array | None


def groups_of(data: Paired, overall: str | None) -> list[tuple[str, PairGroup]]:
    """The pairs as they are and with each part removed, each with the name of the part ('' for none)."""
    families = (
        ("", _plain_groups(data, None)),
        (LOG_PARAMS, _plain_groups(data, data.log_params)),
        (GENERAL, _general_groups(data, overall)),
    )
    return [(removed, group) for removed, family in families for group in family]


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


def _plain_groups(data: Paired, part: Array | None) -> list[PairGroup]:
    least = FEWEST_OF_A_PAIR + int(part is not None)
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


def _general_groups(data: Paired, overall: str | None) -> list[PairGroup]:
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
            if mask.sum() > FEWEST_OF_A_PAIR:
                masks[mask.tobytes()] = mask
                by_mask[mask.tobytes()].append((j, k))
        groups += [_group(data, np.flatnonzero(masks[key]), found, part) for key, found in by_mask.items()]
    return groups


def _group(
    data: Paired, rows: NDArray[np.intp], wanted: list[tuple[int, int]], part: Array | None
) -> PairGroup:
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
    return PairGroup(rows, benchmarks, targets, set(wanted), x, y, z)


def coefficients_in(group: PairGroup, orders: NDArray[np.intp]) -> Array:
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
