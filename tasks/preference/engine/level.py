"""Ratings by the few levels that all categories share, with benchmarks and levels drawn from one normal.

Categories of one rating table correlate at .95 and more, so a model has a level and small deviations from it.
The levels are the first principal components of the standardised ratings of the *training* models: as many, at
most three, as hold nine tenths of their variance; one where categories go together. Benchmarks and levels are
fitted as one multivariate normal (`gaussian`), so that a missing benchmark is no guess but an absent witness; a
new model's levels are their expectation given the benchmarks that it has, and each category follows by least
squares on the levels. A model that is left out takes part with no rating in any category.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.preference.engine.gaussian import Normal, Shrinkage, fit_normal, standardised

Array = NDArray[np.float64]
STRENGTHS = (Shrinkage(0.1, 0.005), Shrinkage(2.0, 0.1))
COMPLETION_ROUNDS = 30
MOST_LEVELS = 3
ENOUGH_VARIANCE = 0.9
LEAST_EIGENVALUE = 1e-4


@dataclass(frozen=True)
class LevelModel:
    """normal: of standardised benchmarks and then L levels; slopes (1 + L, T): intercept, slopes of each category."""

    normal: Normal
    reference: Array
    slopes: Array

    def predict(self, scores: Array) -> Array:
        """scores (m, p), NaN where missing -> ratings (m, T)."""
        levels = len(self.slopes) - 1
        rows = np.hstack([standardised(scores, self.reference), np.full((len(scores), levels), np.nan)])
        return self.slopes[0] + self.normal.expected(rows)[:, -levels:] @ self.slopes[1:]


def scores_normal(scores: Array, others: Array, shrinkage: Shrinkage) -> Normal:
    """The normal of the benchmarks alone, of training models (n, p) and models without ratings (m, p)."""
    return fit_normal(standardised(np.vstack([scores, others]), scores), shrinkage)


def fit_level(
    scores: Array, ratings: Array, others: Array, shrinkage: Shrinkage, start: Normal | None = None
) -> LevelModel:
    """Fits scores (n, p), ratings (n, T) without holes (`completed`), and scores (m, p) of models without ratings.

    start: `scores_normal`, from which EM then starts.
    """
    levels = general_levels(ratings)
    design = np.column_stack([np.ones(len(levels)), levels])
    slopes = np.asarray(np.linalg.lstsq(design, ratings, rcond=None)[0], dtype=np.float64)
    below = np.full((len(others), levels.shape[1]), np.nan)
    rows = np.hstack([standardised(np.vstack([scores, others]), scores), np.vstack([levels, below])])
    begin = None if start is None else _with_levels(start, rows[: len(scores)], levels.shape[1])
    return LevelModel(fit_normal(rows, shrinkage, begin), scores, slopes)


def completed(ratings: Array) -> Array:
    """ratings (n, T) with holes filled by the best rank-one table about the category means."""
    known = np.isfinite(ratings)
    if known.all():
        return ratings
    count = np.maximum(known.sum(0), 1)
    filled = np.where(known, ratings, np.where(known, ratings, 0).sum(0) / count)
    for _ in range(COMPLETION_ROUNDS):
        mean = filled.mean(0)
        u, s, vt = np.linalg.svd(filled - mean, full_matrices=False)
        filled = np.where(known, ratings, mean + s[0] * np.outer(u[:, 0], vt[0]))
    return filled


def general_levels(ratings: Array) -> Array:
    """First principal components of the standardised columns of complete ratings (n, T): (n, L), unit variance."""
    spread = ratings.std(0)
    varying = spread > 1e-12 * np.abs(ratings).max(0)
    if not varying.any():
        return np.zeros((len(ratings), 1))
    z = (ratings[:, varying] - ratings[:, varying].mean(0)) / spread[varying]
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    share = np.cumsum(s**2) / (s**2).sum()
    count = min(MOST_LEVELS, int(np.searchsorted(share, ENOUGH_VARIANCE - 1e-12)) + 1, len(s))
    levels = u[:, :count] * np.where(vt[:count].sum(1) < 0, -1.0, 1.0)
    return levels / np.maximum(levels.std(0), 1e-12)


def _with_levels(scores: Normal, rows: Array, count: int) -> Normal:
    """A first guess at the joint normal: covariances of the filled benchmarks with the levels."""
    filled, levels = scores.expected(rows[:, :-count]), rows[:, -count:]
    cross = (filled - filled.mean(0)).T @ (levels - levels.mean(0)) / len(rows)
    covariance = np.block([[scores.covariance, cross], [cross.T, np.eye(count)]])
    # A sample's cross-covariances need not go with the fitted variances: draw them in until all is positive.
    # Without them, the least eigenvalue is that of the benchmarks, or 1.
    least = min(LEAST_EIGENVALUE, float(np.linalg.eigvalsh(scores.covariance)[0]) / 2)
    while np.linalg.eigvalsh(covariance)[0] < least:
        covariance[:-count, -count:] *= 0.9
        covariance[-count:, :-count] *= 0.9
    return Normal(np.append(scores.mean, levels.mean(0)), covariance)
