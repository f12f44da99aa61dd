"""Predicts a rating from benchmarks, always tried on models that the fit has not seen.

Every method is linear in benchmarks that are filled (mean), centred and scaled on the training models alone:

    min-norm   b = pinv(Z) yc, the over-parameterised regression of Schaeffer et al. 2025 (arXiv 2502.18339)
    ridge      b = (Z'Z + a I)^-1 Z'yc, a of least leave-one-out error among the training models
    single     the one benchmark of least leave-one-out error among the training models, by least squares
    mean       no benchmark: the mean rating

where Z (n x p) are the standardised scores and yc the centred ratings. Leave-one-out errors inside a fold are
exact for its scaling: e_i = r_i / (1 - h_i), with h_i the hat value, intercept included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Groups = NDArray[np.intp]
ALPHAS = np.logspace(-2, 4, 25)


@dataclass(frozen=True)
class LinearModel:
    """rating = intercept + coef . (filled - centre) / scale. alpha is ridge's penalty, else None."""

    centre: Array
    scale: Array
    coef: Array
    intercept: float
    alpha: float | None = None

    def standardised(self, scores: Array) -> Array:
        """scores (n, p), NaN where missing -> (n, p); a missing score takes the training mean, so 0."""
        return np.where(np.isnan(scores), 0.0, (scores - self.centre) / self.scale)

    def predict(self, scores: Array) -> Array:
        """scores (n, p) in the benchmarks' own units -> ratings (n,)."""
        return self.intercept + self.standardised(scores) @ self.coef

    @property
    def slopes(self) -> Array:
        """Rating per unit of each benchmark, (p,)."""
        return self.coef / self.scale


def fit(scores: Array, ratings: Array, method: str) -> LinearModel:
    """Fits `method` on scores (n, p), NaN missing, and ratings (n,); a constant benchmark gets weight 0."""
    if method not in _SOLVERS:
        raise ValueError(f"method={method!r}: allowed are {sorted(_SOLVERS)}")
    known = np.isfinite(scores)
    count = np.maximum(known.sum(0), 1)
    centre = np.where(known, scores, 0).sum(0) / count
    filled = np.where(known, scores, centre) - centre
    spread = np.sqrt((filled**2).mean(0))
    scale = np.where(spread > 1e-12 * np.maximum(1, np.abs(centre)), spread, 1.0)
    z = np.where(scale == spread, filled / scale, 0.0)
    intercept = float(ratings.mean())
    coef, alpha = _SOLVERS[method](z, ratings - intercept)
    return LinearModel(centre, scale, coef, intercept, alpha)


def _mean(z: Array, y: Array) -> tuple[Array, float | None]:
    return np.zeros(z.shape[1]), None


def _min_norm(z: Array, y: Array) -> tuple[Array, float | None]:
    return np.linalg.pinv(z) @ y, None


def _ridge(z: Array, y: Array) -> tuple[Array, float | None]:
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    shrink = s**2 / (s**2 + ALPHAS[:, None])
    fitted = (shrink * (u.T @ y)) @ u.T
    hat = 1 / len(y) + shrink @ (u**2).T
    best = int(np.argmin(_left_out_error(y - fitted, hat)))
    alpha = float(ALPHAS[best])
    return vt.T @ (s / (s**2 + alpha) * (u.T @ y)), alpha


def _single(z: Array, y: Array) -> tuple[Array, float | None]:
    squares = (z**2).sum(0)
    slope = np.divide(z.T @ y, squares, out=np.zeros(z.shape[1]), where=squares > 0)
    share = np.divide(z**2, squares, out=np.zeros_like(z), where=squares > 0)
    errors = _left_out_error((y[:, None] - z * slope).T, 1 / len(y) + share.T)
    coef = np.zeros(z.shape[1])
    best = int(np.argmin(errors))
    coef[best] = slope[best]
    return coef, None


def _left_out_error(residuals: Array, hat: Array) -> Array:
    """Sum of squared leave-one-out errors of each row; infinite where a model alone decides its own fit."""
    free = 1 - hat
    errors = np.divide(residuals, free, out=np.full_like(residuals, np.inf), where=free > 1e-9)
    return (errors**2).sum(-1)


_SOLVERS: dict[str, Callable[[Array, Array], tuple[Array, float | None]]] = {
    "ridge": _ridge,
    "min-norm": _min_norm,
    "single": _single,
    "mean": _mean,
}


def left_out_predictions(scores: Array, ratings: Array, groups: Groups, method: str) -> Array:
    """Prediction of each model (n,) by the fit on the models outside its group; >= 2 groups are needed."""
    predicted = np.empty(len(ratings))
    for group in np.unique(groups):
        out = groups == group
        predicted[out] = fit(scores[~out], ratings[~out], method).predict(scores[out])
    return predicted


def rmse_interval(errors: Array, families: Groups, confidence: float, bootstraps: int, seed: int) -> Array:
    """RMSE of errors (n,) with its percentile interval over resampled families: [rmse, low, high]."""
    draws = np.sqrt(_family_means(errors**2, families, bootstraps, seed))
    tail = (1 - confidence) / 2
    return np.array([np.sqrt((errors**2).mean()), *np.quantile(draws, [tail, 1 - tail])])


def rmse_ratio_interval(
    errors: Array, baseline: Array, families: Groups, confidence: float, bootstraps: int, seed: int
) -> Array:
    """RMSE over the baseline's RMSE, both on the same resampled families: [ratio, low, high]."""
    ours = _family_means(errors**2, families, bootstraps, seed)
    theirs = _family_means(baseline**2, families, bootstraps, seed)
    tail = (1 - confidence) / 2
    ratio = np.sqrt((errors**2).mean() / (baseline**2).mean())
    return np.array([ratio, *np.quantile(np.sqrt(ours / theirs), [tail, 1 - tail])])


def _family_means(values: Array, families: Groups, bootstraps: int, seed: int) -> Array:
    kinds, members = np.unique(families, return_inverse=True)
    rng = np.random.default_rng([seed, 2])
    drawn = rng.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), size=bootstraps)
    weights = drawn[:, members]
    return (weights @ values) / weights.sum(1)
