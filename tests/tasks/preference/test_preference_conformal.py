"""Prediction intervals: hand-worked ends, measured coverage, and the leverage of far models."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.preference.conformal import (
    fit_left_out,
    left_out_intervals,
    leverages,
    models_needed,
    widened,
)


def test_jackknife_plus_by_hand() -> None:
    # Mean predictor, y = 0 1 2 3: left-out means 2, 5/3, 4/3, 1; errors 2, 2/3, 2/3, 2.
    # c = .6, n + 1 = 5: k_low = 2, k_high = 3. Lower ends 0, 1, 2/3, -1 -> 2nd smallest 0;
    # upper ends 4, 7/3, 2, 3 -> 3rd smallest 3.
    fits = fit_left_out(np.zeros((4, 1)), np.arange(4.0), np.arange(4), "mean")
    assert fits.interval(np.zeros(1), 0.6) == pytest.approx((0, 3))


def test_too_few_models_give_an_infinite_interval_never_a_short_one() -> None:
    fits = fit_left_out(np.zeros((8, 1)), np.arange(8.0), np.arange(8), "mean")
    assert fits.interval(np.zeros(1), 0.9) == (-np.inf, np.inf)
    assert models_needed(0.9) == 9
    nine = fit_left_out(np.zeros((9, 1)), np.arange(9.0), np.arange(9), "mean")
    assert np.isfinite(nine.interval(np.zeros(1), 0.9)).all()


def test_intervals_cover_new_gaussian_models_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        scores = rng.normal(size=(21, 3))
        ratings = scores @ [1.0, 0.5, 0.2] + 0.4 * rng.normal(size=21)
        fits = fit_left_out(scores[:20], ratings[:20], np.arange(20), "ridge")
        low, high = fits.interval(scores[20], 0.9)
        held.append(low <= ratings[20] <= high)
    # Nominal .9; 400 draws have a standard error of .015.
    assert 0.86 <= np.mean(held) <= 0.95


def test_left_out_intervals_never_see_the_rating_that_they_are_for() -> None:
    rng = np.random.default_rng(1)
    scores, ratings = rng.normal(size=(12, 3)), rng.normal(size=12)
    before = left_out_intervals(scores, ratings, np.arange(12), "ridge", 0.8)
    for i in range(12):
        wild = ratings.copy()
        wild[i] = 1e6
        after = left_out_intervals(scores, wild, np.arange(12), "ridge", 0.8)
        np.testing.assert_array_equal(after[i], before[i])


def test_noise_adds_in_quadrature_and_never_narrows() -> None:
    assert widened(-3, 3, 4, 1.0) == pytest.approx((-5, 5))
    assert widened(-3, 3, 0, 1.645) == pytest.approx((-3, 3))


def test_leverage_by_hand() -> None:
    # One benchmark at -1, 0, 1: h(x) = 1/3 + x^2/2, largest fitted 1/3 + 1/2.
    hat, largest = leverages(np.array([[-1.0], [0], [1]]), np.array([[0.0], [2], [np.nan]]))
    np.testing.assert_allclose(hat, [1 / 3, 1 / 3 + 2, 1 / 3])
    assert largest == pytest.approx(5 / 6)


def test_leverage_is_infinite_off_the_plane_of_the_fitted_models() -> None:
    line = np.array([[0.0, 0], [1, 1], [2, 2]])
    hat, _ = leverages(line, np.array([[0.5, 0.5], [1.0, 0.0]]))
    assert np.isfinite(hat[0])
    assert np.isinf(hat[1])
