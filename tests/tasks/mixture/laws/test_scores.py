"""Rank correlation, its interval, and regret."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tasks.mixture.laws.law_scores import regret, scored, spearman, spearman_interval


def test_spearman_is_that_of_scipy_with_ties():
    draw = np.random.default_rng(0)
    left, right = draw.integers(0, 5, 40).astype(float), draw.normal(size=40)
    assert spearman(left, right) == pytest.approx(stats.spearmanr(left, right).statistic)
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))


def test_regret_by_hand():
    observed = np.array([2.0, 1.5, 1.0, 3.0])
    predicted = np.array([0.0, 1.0, 2.0, 3.0])
    assert regret(predicted, observed, 1) == pytest.approx(1.0)
    assert regret(predicted, observed, 2) == pytest.approx(0.5)
    assert regret(predicted, observed, 3) == 0
    assert regret(predicted, observed, 9) == 0


def test_regret_of_a_law_that_cannot_tell_is_that_of_drawing_lots():
    observed = np.array([1.0, 2.0, 6.0])
    assert regret(np.zeros(3), observed, 1) == pytest.approx(3.0 - 1.0)
    # The least of two of three: 1 with probability 2/3, else 2.
    assert regret(np.zeros(3), observed, 2) == pytest.approx(1 / 3)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    truth = 6 / np.pi * np.arcsin(0.8 / 2)  # Spearman of a bivariate normal with correlation .8
    for seed in range(100):
        draw = np.random.default_rng(seed).multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 60)
        low, high = spearman_interval(draw[:, 0], draw[:, 1])
        covered += low <= truth <= high
    assert 87 <= covered <= 100
    assert all(np.isnan(spearman_interval(np.arange(3.0), np.arange(3.0))))


def test_the_mean_is_that_of_the_predictions_against_that_of_the_losses():
    observed = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [0.0, 0.0, 0.0, -9.0]})
    predicted = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [0.0, 0.0, 0.0, -1.0]})
    told = scored(predicted, observed)
    # Means: predicted .5, 1, 1.5, 1.5; observed .5, 1, 1.5, -2.5.
    assert told["spearman_mean"] == pytest.approx(stats.spearmanr([0.5, 1, 1.5, 1.5], [0.5, 1, 1.5, -2.5])[0])
    assert told["spearman"]["a"] == pytest.approx(1)
    assert told["regret"]["top_1"] == pytest.approx(3.0)
