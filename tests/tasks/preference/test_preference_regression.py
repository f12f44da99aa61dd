"""Regression and left-out predictions against explicit loops, scikit-learn and numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from tasks.preference.regression import ALPHAS, fit, left_out_predictions, rmse_interval


def data(seed: int, n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, p))
    return scores, scores[:, 0] - 0.5 * scores[:, -1] + 0.3 * rng.normal(size=n)


@pytest.mark.parametrize(("n", "p"), [(14, 3), (10, 9), (8, 20)])
def test_min_norm_left_out_predictions_equal_the_explicit_loop(n: int, p: int) -> None:
    scores, ratings = data(0, n, p)
    expected = []
    for i in range(n):
        rest = np.delete(np.arange(n), i)
        centre, scale = scores[rest].mean(0), scores[rest].std(0)
        z = (scores[rest] - centre) / scale
        # lstsq gives the solution of least norm where there are many.
        coef = np.linalg.lstsq(z, ratings[rest] - ratings[rest].mean(), rcond=None)[0]
        expected.append(ratings[rest].mean() + (scores[i] - centre) / scale @ coef)
    found = left_out_predictions(scores, ratings, np.arange(n), "min-norm")
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("n", "p"), [(20, 4), (9, 12)])
def test_ridge_chooses_and_fits_as_scikit_learn_does(n: int, p: int) -> None:
    scores, ratings = data(1, n, p)
    z = (scores - scores.mean(0)) / scores.std(0)
    reference = RidgeCV(alphas=ALPHAS).fit(z, ratings)
    model = fit(scores, ratings, "ridge")
    assert model.alpha == pytest.approx(reference.alpha_)
    np.testing.assert_allclose(model.coef, reference.coef_, rtol=1e-8)
    np.testing.assert_allclose(model.predict(scores), reference.predict(z), rtol=1e-8)


def test_single_takes_the_benchmark_of_least_left_out_error() -> None:
    # y = 2 + 3 b exactly; a and c do not tell.
    scores = np.array([[0.1, 1, 4], [0.9, 2, 1], [0.2, 3, 3], [0.7, 4, 2], [0.5, 5, 4]])
    model = fit(scores, 2 + 3 * scores[:, 1], "single")
    np.testing.assert_allclose(model.slopes, [0, 3, 0], atol=1e-12)
    assert model.predict(np.array([[0.0, 10, 0]]))[0] == pytest.approx(32)


def test_single_is_chosen_afresh_in_each_fold() -> None:
    # Only the last model makes b look good: without it, a is the better.
    scores = np.array([[1, 3], [2, 1], [3, 4], [4, 2], [5, 40.0]])
    ratings = np.array([1, 2, 3, 4, 50.0])
    assert fit(scores, ratings, "single").coef[1] != 0
    assert left_out_predictions(scores, ratings, np.arange(5), "single")[4] == pytest.approx(5)


def test_mean_leaves_the_mean_of_the_others() -> None:
    found = left_out_predictions(np.zeros((3, 1)), np.array([1.0, 2, 6]), np.arange(3), "mean")
    np.testing.assert_allclose(found, [4, 3.5, 1.5])


def test_missing_scores_take_the_mean_of_the_training_models_alone() -> None:
    scores = np.array([[1.0], [3], [np.nan], [100]])
    ratings = np.array([1.0, 3, 2, 7])
    # Without the last: 1 -> 1, 3 -> 3, the hole filled with 2; y = x exactly.
    model = fit(scores[:3], ratings[:3], "min-norm")
    assert model.predict(np.array([[np.nan]]))[0] == pytest.approx(2)
    assert left_out_predictions(scores, ratings, np.arange(4), "min-norm")[3] == pytest.approx(100)


@pytest.mark.parametrize("method", ["ridge", "min-norm", "single", "mean"])
def test_a_family_left_out_together_never_sees_its_own_ratings(method: str) -> None:
    scores, ratings = data(2, 12, 4)
    families = np.repeat(np.arange(4), 3)
    before = left_out_predictions(scores, ratings, families, method)
    for family in range(4):
        wild = ratings.copy()
        wild[families == family] = [1e6, -1e6, 3e5]
        after = left_out_predictions(scores, wild, families, method)
        np.testing.assert_array_equal(after[families == family], before[families == family])
        assert not np.allclose(after[families != family], before[families != family])


def test_benchmark_constant_in_a_fold_gets_no_weight() -> None:
    scores = np.array([[1, 0.7], [2, 0.7], [3, 0.7], [4, 0.9]])
    ratings = np.array([1.0, 2, 3, 4])
    for method in ("ridge", "min-norm", "single"):
        assert fit(scores[:3], ratings[:3], method).coef[1] == 0


def test_rmse_and_its_interval() -> None:
    found = rmse_interval(np.array([3.0, -4, 3, -4]), np.arange(4), 0.9, 500, 0)
    assert found[0] == pytest.approx(np.sqrt(12.5))
    assert 3 <= found[1] <= found[0] <= found[2] <= 4
    one = rmse_interval(np.array([3.0, -4]), np.zeros(2, int), 0.9, 100, 0)
    np.testing.assert_allclose(one, np.sqrt(12.5))


def test_unknown_method_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"method='lasso': allowed are \['mean', 'min-norm', 'ridge', 'single'\]"
    ):
        fit(np.zeros((3, 1)), np.zeros(3), "lasso")
