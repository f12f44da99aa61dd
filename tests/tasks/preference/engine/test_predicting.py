"""Regressions of many targets at once against explicit loops, scikit-learn, and truths that are known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA

from tasks.preference.engine.gaussian import Normal, Shrinkage, fit_normal
from tasks.preference.engine.intervals import intervals, models_needed
from tasks.preference.engine.level import completed, fit_level, general_levels, scores_normal
from tasks.preference.engine.linear import coefficients, inner_folds, pcr_path, pls_path, standardise
from tasks.preference.engine.predicting import Predicted, Training, mixing_weights, predict, simplex_weights
from tests.bench.preference_speed import instance, looped
from tests.bench.resampled_ridge import left_out_predictions
from tests.tasks.preference.tables_at_hand import leveled


@pytest.mark.parametrize(("alpha", "benchmarks"), [(3.0, 12), (1e-3, 12), (1e4, 5), (0.5, 40)])
def test_resampled_ridge_equals_scikit_learn_s_loops(alpha: float, benchmarks: int) -> None:
    scores, ratings, weights = instance(1, 25, benchmarks, 4, 3)
    found = left_out_predictions(scores, ratings, weights, alpha)
    expected = np.array([looped(scores, ratings, row, alpha) for row in weights])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


def test_resampled_ridge_where_a_benchmark_varies_by_the_left_out_model_alone() -> None:
    scores, ratings, weights = instance(2, 12, 4, 2, 2)
    scores[:, 1] = 5.0
    scores[3, 1] = 9.0
    weights[:, 3] = 2
    found = left_out_predictions(scores, ratings, weights, 1.0)
    expected = np.array([looped(scores, ratings, row, 1.0) for row in weights])
    np.testing.assert_allclose(found[:, 3], expected[:, 3], rtol=1e-8, atol=1e-8)


def test_copies_of_a_model_never_predict_it() -> None:
    scores, ratings, weights = instance(3, 15, 4, 2, 4)
    before = left_out_predictions(scores, ratings, weights, 1.0)
    wild = ratings.copy()
    wild[5] = 1e3
    after = left_out_predictions(scores, wild, weights, 1.0)
    np.testing.assert_allclose(after[:, 5], before[:, 5], rtol=1e-9, atol=1e-9)
    assert not np.allclose(np.nan_to_num(after[:, 6]), np.nan_to_num(before[:, 6]))


def test_partial_least_squares_and_principal_components_as_scikit_learn_has_them() -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(size=(20, 6))
    z -= z.mean(0)
    y = rng.normal(size=(20, 3))
    y -= y.mean(0)
    path, components = pls_path(z, y, 4), pcr_path(z, y, 4)
    for k in range(4):
        latent = PCA(k + 1).fit(z)
        for t in range(3):
            reference = PLSRegression(k + 1, scale=False).fit(z, y[:, t])
            np.testing.assert_allclose(z @ path[k, :, t], reference.predict(z).ravel(), atol=1e-9)
            inner = np.linalg.lstsq(latent.transform(z), y[:, t], rcond=None)[0]
            np.testing.assert_allclose(z @ components[k, :, t], latent.transform(z) @ inner, atol=1e-9)


@pytest.mark.parametrize("method", ["ridge", "min-norm", "single", "mean"])
def test_many_targets_at_once_are_each_target_by_itself(method: str) -> None:
    scores, ratings = leveled(5, 16, 5, 3, factors=2, holes=0.2)
    z, new = standardise(scores, scores)
    centred = ratings - ratings.mean(0)
    together = new @ coefficients(method, z, centred, np.arange(16))
    apart = [new @ coefficients(method, z, centred[:, [t]], np.arange(16)) for t in range(3)]
    np.testing.assert_allclose(together, np.hstack(apart), rtol=1e-8, atol=1e-12)


def test_elastic_net_leaves_out_what_does_not_tell() -> None:
    rng = np.random.default_rng(6)
    z = rng.normal(size=(60, 8))
    y = (2 * z[:, 0] + 0.1 * rng.normal(size=60))[:, None]
    found = coefficients("elastic-net", z - z.mean(0), y - y.mean(0), np.arange(60))
    assert found[0, 0] == pytest.approx(2, abs=0.15)
    assert np.abs(found[1:]).max() < 0.1


def test_folds_keep_groups_together_and_are_about_equal() -> None:
    groups = np.repeat(np.arange(9), [1, 1, 6, 2, 2, 3, 1, 1, 3])
    folds = inner_folds(groups, 4)
    assert len(np.unique(folds)) == 4
    for group in range(9):
        assert len(np.unique(folds[groups == group])) == 1
    assert np.bincount(folds).max() <= 6


def test_normal_of_a_whole_table_without_shrinkage_is_its_mean_and_covariance() -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)) + 2
    found = fit_normal(rows, Shrinkage(0, 0))
    np.testing.assert_allclose(found.mean, rows.mean(0), atol=1e-9)
    np.testing.assert_allclose(found.covariance, np.cov(rows.T, bias=True), atol=1e-5)


def test_holes_take_their_expectation_given_the_other_cells() -> None:
    # x2 given x1 = 2 in a normal with variances 1, 4 and covariance 1: 3 + 1 * (2 - 1) = 4.
    normal = Normal(np.array([1.0, 3.0]), np.array([[1.0, 1.0], [1.0, 4.0]]))
    np.testing.assert_allclose(normal.expected(np.array([[2.0, np.nan], [np.nan, np.nan]])), [[2, 4], [1, 3]])
    assert normal.distances(np.array([[2.0, np.nan]]))[0] == pytest.approx(1)


def test_em_finds_the_normal_behind_holes_that_depend_on_what_is_seen() -> None:
    rng = np.random.default_rng(8)
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    rows = rng.multivariate_normal([0, 0], covariance, size=4000)
    rows[rows[:, 0] > 0, 1] = np.nan
    found = fit_normal(rows, Shrinkage(0, 0))
    # The mean of the seen cells alone is -0.64.
    assert found.mean[1] == pytest.approx(0, abs=0.12)
    assert np.nanmean(rows[:, 1]) < -0.5


def test_levels_are_as_many_as_categories_need() -> None:
    _, one = leveled(9, 40, 3, 6, factors=1, noise=0.1)
    _, three = leveled(9, 40, 3, 12, factors=3, noise=0.1)
    assert general_levels(one).shape[1] == 1
    assert general_levels(three).shape[1] >= 2
    assert abs(np.corrcoef(general_levels(one)[:, 0], one[:, 0])[0, 1]) > 0.99


def test_a_category_that_varies_by_rounding_alone_is_no_level() -> None:
    _, ratings = leveled(9, 40, 3, 6, factors=1, noise=0.1)
    wide = 1e7 * np.column_stack([ratings, np.full(40, 0.1)])
    wide[::2, -1] *= 1 + 2e-16
    np.testing.assert_allclose(general_levels(wide), general_levels(ratings), atol=1e-9)


def test_levels_join_benchmarks_that_say_the_same() -> None:
    rng = np.random.default_rng(16)
    level = rng.normal(size=400)
    scores = np.column_stack([level] * 3)
    ratings = np.column_stack([level, level]) + 0.1 * rng.normal(size=(400, 2))
    weak = Shrinkage(0.1, 0.005)
    model = fit_level(scores, ratings, scores[:0], weak, scores_normal(scores, scores[:0], weak))
    assert np.corrcoef(model.predict(scores)[:, 0], level)[0, 1] > 0.99


def test_missing_ratings_follow_the_level() -> None:
    _, ratings = leveled(10, 30, 3, 6, noise=0.05)
    holed = ratings.copy()
    holed[3, 2] = holed[7, 0] = np.nan
    filled = completed(holed)
    np.testing.assert_allclose(filled[[3, 7], [2, 0]], ratings[[3, 7], [2, 0]], atol=0.15)


def test_the_level_model_bears_holes_better_than_ridge_on_means() -> None:
    squares = np.zeros(2)
    train, test = np.arange(40), np.arange(40, 60)
    for seed in range(6):
        scores, ratings = leveled(seed, 60, 8, 5, holes=0.5)
        model = fit_level(scores[train], ratings[train], scores[:0], Shrinkage(0.1, 0.005))
        squares[0] += ((model.predict(scores[test]) - ratings[test]) ** 2).mean()
        z, new = standardise(scores[train], scores[test])
        centre = ratings[train].mean(0)
        b = coefficients("ridge", z, ratings[train] - centre, train)
        squares[1] += ((centre + new @ b - ratings[test]) ** 2).mean()
    assert np.sqrt(squares[0]) < 0.9 * np.sqrt(squares[1])


def test_jackknife_plus_by_hand() -> None:
    # Mean predictor, y = 0 1 2 3: left-out means 2, 5/3, 4/3, 1; errors 2, 2/3, 2/3, 2.
    # c = .6, n + 1 = 5: k_low = 2, k_high = 3. Lower ends 0, 1, 2/3, -1 -> 2nd smallest 0;
    # upper ends 4, 7/3, 2, 3 -> 3rd smallest 3.
    means = np.array([2, 5 / 3, 4 / 3, 1])
    found = Predicted(np.full((1, 1), 1.5), means[:, None], means[:, None, None], np.arange(4))
    low, high = intervals(found, np.arange(4.0)[:, None], 0.6)
    assert (low[0, 0], high[0, 0]) == pytest.approx((0, 3))


def test_intervals_cover_new_gaussian_models_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        scores = rng.normal(size=(21, 3))
        ratings = scores @ [1.0, 0.5, 0.2] + 0.4 * rng.normal(size=21)
        train = Training(scores[:20], ratings[:20, None], np.full(20, np.nan), np.arange(20), scores[:0])
        found = predict(["ridge"], train, scores[20:], np.full(1, np.nan))["ridge"]
        low, high = intervals(found, ratings[:20, None], 0.9)
        held.append(low[0, 0] <= ratings[20] <= high[0, 0])
    # Nominal .9; 400 draws have a standard error of .015.
    assert 0.86 <= np.mean(held) <= 0.95


def test_intervals_of_many_targets_are_those_of_one() -> None:
    scores, ratings = leveled(12, 20, 3, 2)
    ratings[4, 1] = np.nan
    train = Training(scores, ratings, np.full(20, np.nan), np.arange(20), scores[:0])
    new = np.random.default_rng(0).normal(size=(3, 3))
    found = predict(["mean"], train, new, np.full(3, np.nan))["mean"]
    low, high = intervals(found, ratings, 0.8)
    for t in range(2):
        rows = np.isfinite(ratings[:, t])
        one = Predicted(
            found.new[:, [t]], found.held_out[rows][:, [t]], found.new_by_fold[:, :, [t]], found.fold_of[rows]
        )
        alone = intervals(one, ratings[rows][:, [t]], 0.8)
        np.testing.assert_allclose((low[:, t], high[:, t]), np.array(alone)[:, :, 0])


def test_too_few_ratings_give_infinite_intervals() -> None:
    predicted = Predicted(np.zeros((1, 1)), np.zeros((8, 1)), np.zeros((8, 1, 1)), np.arange(8))
    low, high = intervals(predicted, np.ones((8, 1)), 0.9)
    assert (low[0, 0], high[0, 0]) == (-np.inf, np.inf)
    assert models_needed(0.9) == 9


def test_mixing_weights_are_the_best_of_the_simplex() -> None:
    rng = np.random.default_rng(13)
    errors = rng.normal(size=(3, 400)) * np.array([[1.0], [2.0], [4.0]])
    found = simplex_weights(errors)
    inverse = 1 / np.array([1.0, 4.0, 16.0])
    np.testing.assert_allclose(found, inverse / inverse.sum(), atol=0.05)
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    cells = rng.normal(size=(2, 300, 3)) * np.array([1.0, 3.0])[:, None, None]
    cells[:, 0, 1] = np.nan
    weights = mixing_weights(cells, prior=[1])
    np.testing.assert_allclose(weights.sum(0), 1)
    assert (weights[0] > weights[1]).all()


def test_unknown_methods_are_refused() -> None:
    train = Training(np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(4), np.arange(4), np.zeros((0, 1)))
    with pytest.raises(ValueError, match=r"methods=\['lasso'\]: allowed are \['auto', 'level-light'"):
        predict(["lasso"], train, np.zeros((1, 1)), np.zeros(1))
