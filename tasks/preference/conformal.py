"""Prediction intervals from left-out errors, and how far a new model lies from the fitted ones.

Jackknife+ (Barber, Candes, Ramdas and Tibshirani 2021, arXiv 1905.02928, eq. 1.2): with R_i the error on
model i of the fit without it, mu_-i, the interval at x is

    [ k_low-th smallest of mu_-i(x) - R_i ,  k_high-th smallest of mu_-i(x) + R_i ],
    k_low = floor((1-c)(n+1)), k_high = ceil(c(n+1)),

and covers at least 2c - 1, in practice about c, when models are exchangeable. With families as folds it is
their CV+: a model is left out together with its family, as a new model comes without relatives in the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.preference.regression import Array, Groups, LinearModel, fit


@dataclass(frozen=True)
class LeftOutFits:
    """One fit a fold, without it; fold_of (n,) says which fit left model i out; errors (n,) are |R_i|."""

    fits: tuple[LinearModel, ...]
    fold_of: Groups
    errors: Array

    def interval(self, x: Array, confidence: float) -> tuple[float, float]:
        """Interval of the rating at scores x (p,); infinite where n is too small for the level."""
        n = len(self.errors)
        at_x = np.array([float(model.predict(x[None])[0]) for model in self.fits])[self.fold_of]
        # Rounded first, for .1 * 20 is not 2 when .1 came out of 1 - .9.
        k_low = math.floor(round((1 - confidence) * (n + 1), 9))
        k_high = math.ceil(round(confidence * (n + 1), 9))
        low = -math.inf if k_low < 1 else float(np.sort(at_x - self.errors)[k_low - 1])
        high = math.inf if k_high > n else float(np.sort(at_x + self.errors)[k_high - 1])
        # Low and high come from different fits: where those differ by more than the errors they can cross.
        return min(low, high), max(low, high)


def models_needed(confidence: float) -> int:
    """Fewest rated models for a finite interval: n with ceil(c(n+1)) <= n."""
    return math.ceil(round(1 / (1 - confidence), 9)) - 1


def fit_left_out(scores: Array, ratings: Array, folds: Groups, method: str) -> LeftOutFits:
    """Fits `method` once without each fold of scores (n, p), ratings (n,), folds (n,)."""
    _, fold_of = np.unique(folds, return_inverse=True)
    fits = tuple(
        fit(scores[fold_of != fold], ratings[fold_of != fold], method) for fold in range(fold_of.max() + 1)
    )
    predicted = np.array([fits[fold].predict(scores[[i]])[0] for i, fold in enumerate(fold_of)])
    return LeftOutFits(fits, fold_of, np.abs(ratings - predicted))


def left_out_intervals(scores: Array, ratings: Array, folds: Groups, method: str, confidence: float) -> Array:
    """[predicted, low, high] of every model (n, 3): neither fit nor interval has seen its fold."""
    rows = np.empty((len(ratings), 3))
    for fold in np.unique(folds):
        out = folds == fold
        rest = fit_left_out(scores[~out], ratings[~out], folds[~out], method)
        rows[out, 0] = fit(scores[~out], ratings[~out], method).predict(scores[out])
        rows[out, 1:] = [rest.interval(x, confidence) for x in scores[out]]
    return rows


def widened(low: float, high: float, noise: float, quantile: float) -> tuple[float, float]:
    """Adds independent noise (standard deviation) in quadrature: half-width h -> sqrt(h^2 + (z noise)^2)."""
    half = (high - low) / 2
    extra = math.hypot(half, quantile * noise) - half
    return low - extra, high + extra


def leverages(fitted: Array, new: Array) -> tuple[Array, float]:
    """Hat values of new models (m,) against the largest among the fitted ones; scores (n, p) and (m, p).

    h(x) = 1/n + z'(Z'Z)^+ z in standardised benchmarks; infinite where x differs from the fitted models in
    a direction in which those do not vary at all, as then nothing was learned about it.
    """
    model = fit(fitted, np.zeros(len(fitted)), "mean")
    z = model.standardised(fitted)
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    kept = s > s.max() * max(z.shape) * np.finfo(float).eps
    basis, lengths = vt[kept], s[kept]
    at_new = model.standardised(new)
    inside = at_new @ basis.T
    hat = 1 / len(z) + ((inside / lengths) ** 2).sum(1)
    outside = np.linalg.norm(at_new - inside @ basis, axis=1) > 1e-6 * np.maximum(
        1, np.linalg.norm(at_new, axis=1)
    )
    largest = 1 / len(z) + float((u[:, kept] ** 2).sum(1).max())
    return np.where(outside, np.inf, hat), largest


def covered(truth: Array, low: Array, high: Array) -> NDArray[np.bool_]:
    """Whether each interval holds the truth."""
    return (low <= truth) & (truth <= high)
