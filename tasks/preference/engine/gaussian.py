"""A multivariate normal fitted to a table with holes, shrunk towards one general factor.

EM for a normal with missing cells (Dempster, Laird and Rubin 1977; Little and Rubin, Statistical Analysis with
Missing Data, section 11.2), whose M step shrinks the covariance S of n rows and p columns to

    (n S + a p F + d p D) / (n + a p + d p),    D = diag S,  F = D^1/2 R1 D^1/2,

with R1 the correlation matrix of one common factor (principal axis). Benchmarks and ratings share a general
level, so a small table is better drawn towards F than towards independence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Groups = NDArray[np.intp]
ROUNDS = 20
ROUNDS_WARM = 6
FACTOR_ROUNDS = 12
JITTER = 1e-6


@dataclass(frozen=True)
class Shrinkage:
    """Weights a (towards one factor) and d (towards independence), in rows of data a column."""

    factor: float
    diagonal: float


@dataclass(frozen=True)
class Normal:
    """mean (p,) and covariance (p, p)."""

    mean: Array
    covariance: Array

    def expected(self, rows: Array) -> Array:
        """rows (m, p) with NaN -> rows whose holes hold their expectation given the cells that are there."""
        filled, _ = _expectation(rows, self.mean, self.covariance, _patterns(rows), with_spread=False)
        return filled

    def distances(self, rows: Array) -> Array:
        """Squared Mahalanobis distance of the cells that each row (m, p) has: (m,)."""
        found = np.zeros(len(rows))
        for i, row in enumerate(rows):
            there = np.isfinite(row)
            off = row[there] - self.mean[there]
            found[i] = off @ np.linalg.solve(self.covariance[np.ix_(there, there)], off) if len(off) else 0.0
        return found


def fit_normal(rows: Array, shrinkage: Shrinkage, start: Normal | None = None) -> Normal:
    """Fits to rows (n, p), NaN where missing; a column without any cell keeps mean 0 and variance 1.

    start: where EM begins; it then takes fewer rounds.
    """
    known = np.isfinite(rows)
    patterns = _patterns(rows)
    n, p = rows.shape
    if start is None:
        mean = np.where(known, rows, 0).sum(0) / np.maximum(known.sum(0), 1)
        covariance = np.full((p, p), 0.5) + 0.5 * np.eye(p)
    else:
        mean, covariance = start.mean, start.covariance
    for _ in range(ROUNDS if start is None else ROUNDS_WARM):
        filled, spread = _expectation(rows, mean, covariance, patterns, with_spread=True)
        mean = filled.mean(0)
        centred = filled - mean
        covariance = _shrunk((centred.T @ centred + spread) / n, n, shrinkage)
    return Normal(mean, covariance)


@dataclass(frozen=True)
class _Pattern:
    """Rows with the same number of holes m: holes (G, m) of each pattern, how many rows have it (G,), and by row
    its number (R,) and which of the patterns it has (R,)."""

    holes: Groups
    counts: Array
    rows: Groups
    which: Groups


def _patterns(rows: Array) -> list[_Pattern]:
    kinds, members, counts = np.unique(~np.isfinite(rows), axis=0, return_inverse=True, return_counts=True)
    members, sizes = members.ravel(), kinds.sum(1)
    found = []
    for size in np.unique(sizes[sizes > 0]):
        chosen = np.flatnonzero(sizes == size)
        here = np.flatnonzero(np.isin(members, chosen))
        holes = np.array([np.flatnonzero(kinds[kind]) for kind in chosen])
        which = np.searchsorted(chosen, members[here])
        found.append(_Pattern(holes, counts[chosen].astype(float), here, which))
    return found


def _expectation(
    rows: Array, mean: Array, covariance: Array, patterns: list[_Pattern], with_spread: bool
) -> tuple[Array, Array]:
    """Rows with holes filled, and the sum over rows of the covariance of what was filled in.

    With K the inverse of the covariance, holes h given the other cells o have covariance C = (K_hh)^-1 and
    expectation m_h - C K_ho (x_o - m_o).
    """
    known = np.isfinite(rows)
    off = np.where(known, rows - mean, 0)
    precision = np.linalg.inv(covariance)
    pulled = off @ precision
    filled = mean + off
    p = len(mean)
    spread = np.zeros(p * p)
    for pattern in patterns:
        holes = pattern.holes
        left = np.linalg.inv(precision[holes[:, :, None], holes[:, None, :]])
        at = holes[pattern.which]
        pull = np.take_along_axis(pulled[pattern.rows], at, axis=1)
        filled[pattern.rows[:, None], at] = mean[at] - (left[pattern.which] @ pull[:, :, None])[:, :, 0]
        if with_spread:
            cells = (holes[:, :, None] * p + holes[:, None, :]).ravel()
            spread += np.bincount(cells, (pattern.counts[:, None, None] * left).ravel(), minlength=p * p)
    return filled, spread.reshape(p, p)


def _shrunk(covariance: Array, n: int, shrinkage: Shrinkage) -> Array:
    p = len(covariance)
    deviation = np.sqrt(np.diag(covariance).clip(JITTER))
    loadings = _general_factor(covariance / np.outer(deviation, deviation))
    common = np.outer(loadings, loadings)
    np.fill_diagonal(common, 1)
    scale = np.outer(deviation, deviation)
    towards_factor, towards_diagonal = shrinkage.factor * p, shrinkage.diagonal * p
    pooled = n * covariance + towards_factor * common * scale + towards_diagonal * np.diag(deviation**2)
    return pooled / (n + towards_factor + towards_diagonal) + JITTER * np.eye(p)


def _general_factor(correlation: Array) -> Array:
    """Loadings (p,) of one factor, by alternating least squares on the cells off the diagonal, halfway each time."""
    loadings = np.full(len(correlation), 0.7)
    for _ in range(FACTOR_ROUNDS):
        square = loadings @ loadings
        best = (correlation @ loadings - loadings) / np.maximum(square - loadings**2, JITTER)
        loadings = ((loadings + best) / 2).clip(-0.99, 0.99)
    return loadings


def standardised(rows: Array, reference: Array) -> Array:
    """rows (m, p) less the means of reference (n, p), over its deviations; a column without spread gives NaN."""
    known = np.isfinite(reference)
    count = np.maximum(known.sum(0), 1)
    centre = np.where(known, reference, 0).sum(0) / count
    spread = np.sqrt((np.where(known, reference - centre, 0) ** 2).sum(0) / count)
    usable = spread > 1e-9 * np.maximum(1, np.abs(centre))
    return np.where(usable, (rows - centre) / np.where(usable, spread, 1), np.nan)
