"""Leave-one-out errors without refitting, for any number of columns of ratings: targets, permutations, noise draws.

For scores whose scaling stays as it is, with the intercept fitted anew without each model. Zc are the centred
scores (n, p), G = Zc Zc':

    ridge      e_i = r_i / (1 - h_i),  h_i = 1/n + [G (G + a I)^-1]_ii,  r = y - fit
    min-norm   the same with h of least squares where rank Zc < n - 1; where rank Zc = n - 1 (so p >= n - 1)
               every fit is exact and e_i = (B y)_i / B_ii with B = pinv(G)

For scaling that is fitted anew in each fold see `resampled_ridge`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ridge_errors(scores: Array, ratings: Array, alpha: float) -> Array:
    """scores (n, p), ratings (n, M), penalty alpha > 0 of the scores as they are -> y_i less its prediction (n, M).

    A model whose fit no other model constrains (h_i = 1) gets infinity.
    """
    _check(scores, ratings)
    if not alpha > 0:
        raise ValueError(f"alpha={alpha:g}: must be above 0; for none see min_norm_errors")
    u, s, _ = np.linalg.svd(scores - scores.mean(0), full_matrices=False)
    return _errors(u, s**2 / (s**2 + alpha), ratings)


def min_norm_errors(scores: Array, ratings: Array) -> Array:
    """scores (n, p), ratings (n, M) -> y_i less its prediction by the least-norm fit without model i (n, M)."""
    _check(scores, ratings)
    n = len(scores)
    u, s, _ = np.linalg.svd(scores - scores.mean(0), full_matrices=False)
    kept = s > s.max(initial=0) * max(scores.shape) * np.finfo(float).eps
    if kept.sum() < n - 1:
        return _errors(u[:, kept], np.ones(int(kept.sum())), ratings)
    inverse = (u[:, kept] / s[kept] ** 2) @ u[:, kept].T
    return (inverse @ ratings) / np.diag(inverse)[:, None]


def _errors(u: Array, shrink: Array, ratings: Array) -> Array:
    centred = ratings - ratings.mean(0)
    residual = centred - u @ (shrink[:, None] * (u.T @ centred))
    free = 1 - 1 / len(ratings) - (u**2) @ shrink
    return np.divide(residual, free[:, None], out=np.full_like(residual, np.inf), where=free[:, None] > 1e-9)


def _check(scores: Array, ratings: Array) -> None:
    if scores.ndim != 2 or ratings.ndim != 2 or len(scores) != len(ratings) or len(scores) < 3:
        raise ValueError(
            f"scores {scores.shape} and ratings {ratings.shape}: must be (n, p) and (n, M) with the same n >= 3"
        )
    if not (np.isfinite(scores).all() and np.isfinite(ratings).all()):
        raise ValueError("scores and ratings must be complete; fill or leave out missing cells first")
