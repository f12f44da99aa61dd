"""Elliptical slices go from a normal start to a density that is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma

from tasks.mixture.returns.slice_sampling import elliptical_slices

CHAINS = 4000


def test_draws_have_the_quantiles_of_a_skewed_density_in_two_turned_directions():
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])

    def log_density(points: np.ndarray) -> np.ndarray:
        """Logarithms of independent gammas (shape 2 and 5), turned."""
        logs = points @ turn
        return (np.array([2.0, 5.0]) * logs - np.exp(logs)).sum(axis=1)

    mode = turn @ np.log([2.0, 5.0])
    covariance = turn @ np.diag([1 / 2, 1 / 5]) @ turn.T
    draws = elliptical_slices(
        np.tile(mode, (CHAINS, 1)),
        np.tile(covariance, (CHAINS, 1, 1)),
        log_density,
        30,
        np.random.default_rng(0),
    )
    for logs, shape in zip((draws @ turn).T, (2.0, 5.0), strict=True):
        for level in (0.05, 0.5, 0.95):
            below = (logs < np.log(gamma.ppf(level, shape))).mean()
            assert below == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / CHAINS))


def test_a_side_that_the_density_forbids_is_never_entered():
    centre, covariance = np.zeros((CHAINS, 1)) + 0.1, np.ones((CHAINS, 1, 1))
    draws = elliptical_slices(
        centre,
        covariance,
        lambda points: np.where(points[:, 0] > 0, -0.5 * points[:, 0] ** 2, -np.inf),
        30,
        np.random.default_rng(0),
    )
    assert draws.min() > 0
    assert draws.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=4 * np.sqrt((1 - 2 / np.pi) / CHAINS))
