"""Draws from a density that a normal one comes near to, by elliptical slices: many chains side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.mixture.solver.capped_simplex import Array

TURN = 2 * np.pi


def elliptical_slices(
    centre: Array,
    covariance: Array,
    log_density: Callable[[Array], Array],
    steps: int,
    random: np.random.Generator,
) -> Array:
    """One draw (d,) each of M chains, (M, d), after so many steps from their centres.

    centre (M, d), covariance (M, d, d): the normal density near each chain's own. log_density: of points (M, d), one a
    chain, but for a constant. The chain moves on the ellipse through its point and a draw of the normal, and accepts
    by what the density has over the normal (Murray, Adams and MacKay 2010, arXiv 1001.0175; Nishihara, Murray and
    Adams 2014, arXiv 1210.7477, for the normal that is no prior).
    """
    num, d = centre.shape
    roots = np.linalg.cholesky(covariance + 1e-12 * np.eye(d))

    def over_normal(away: Array) -> Array:
        whitened = np.linalg.solve(roots, away[:, :, None])[:, :, 0]
        return np.asarray(log_density(centre + away) + 0.5 * (whitened**2).sum(axis=1))

    away = np.zeros((num, d))
    height = over_normal(away)
    for _ in range(steps):
        other = np.einsum("mij,mj->mi", roots, random.standard_normal((num, d)))
        slice_height = height + np.log(random.random(num))
        angle = TURN * np.asarray(random.random(num))
        low, high = angle - TURN, angle.copy()
        moving = np.ones(num, bool)
        while moving.any():
            tried = away * np.cos(angle)[:, None] + other * np.sin(angle)[:, None]
            reached = over_normal(tried)
            accepted = moving & ((reached > slice_height) | (high - low < 1e-12))
            away[accepted], height[accepted] = tried[accepted], reached[accepted]
            moving &= ~accepted
            low, high = np.where(angle < 0, angle, low), np.where(angle < 0, high, angle)
            angle = low + (high - low) * random.random(num)
    return centre + away
