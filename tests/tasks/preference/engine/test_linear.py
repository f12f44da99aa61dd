"""Linear regressions and left-out predictions against explicit loops, scikit-learn and numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from tasks.preference.engine.linear import ALPHAS, pls_path
from tasks.preference.engine.predicting import Training, predict
from tasks.preference.engine.resampled_errors import rmse_interval


def data(random_seed: int, n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(random_seed)
    scores = rng.normal(size=(n, p))
    return scores, scores[:, 0] - 0.5 * scores[:, -1] + 0.3 * rng.normal(size=n)


def predicted(scores: np.ndarray, ratings: np.ndarray, method: str, new: np.ndarray) -> np.ndarray:
    """By a fit on scores (n, p) and ratings (n,), for new models (m, p)."""
    n = len(ratings)
    train = Training(scores, ratings[:, None], np.full(n, np.nan), np.arange(n), scores[:0])
    return predict([method], train, new, np.full(len(new), np.nan))[method].new[:, 0]


def left_out(scores: np.ndarray, ratings: np.ndarray, groups: np.ndarray, method: str) -> np.ndarray:
    found = np.empty(len(ratings))
    for group in np.unique(groups):
        out = groups == group
        found[out] = predicted(scores[~out], ratings[~out], method, scores[out])
    return found


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
    found = left_out(scores, ratings, np.arange(n), "min-norm")
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("n", "p"), [(20, 4), (9, 12)])
def test_ridge_chooses_and_fits_as_scikit_learn_does(n: int, p: int) -> None:
    scores, ratings = data(1, n, p)
    z = (scores - scores.mean(0)) / scores.std(0)
    reference = RidgeCV(alphas=ALPHAS).fit(z, ratings)
    np.testing.assert_allclose(
        predicted(scores, ratings, "ridge", scores), reference.predict(z), rtol=1e-8, atol=1e-10
    )


def test_single_takes_the_benchmark_of_least_left_out_error() -> None:
    # y = 2 + 3 b exactly; a and c do not tell.
    scores = np.array([[0.1, 1, 4], [0.9, 2, 1], [0.2, 3, 3], [0.7, 4, 2], [0.5, 5, 4]])
    found = predicted(scores, 2 + 3 * scores[:, 1], "single", np.array([[0.0, 10, 0], [9, 10, 9]]))
    np.testing.assert_allclose(found, 32)


def test_single_is_chosen_afresh_in_each_fold() -> None:
    # Only the last model makes b look good: without it, a is the better.
    scores = np.array([[1, 3], [2, 1], [3, 4], [4, 2], [5, 40.0]])
    ratings = np.array([1, 2, 3, 4, 50.0])
    b_moves = predicted(scores, ratings, "single", np.array([[3, 0.0], [3, 50.0]]))
    assert b_moves[1] > b_moves[0] + 10
    assert left_out(scores, ratings, np.arange(5), "single")[4] == pytest.approx(5)


def test_mean_leaves_the_mean_of_the_others() -> None:
    found = left_out(np.zeros((3, 1)), np.array([1.0, 2, 6]), np.arange(3), "mean")
    np.testing.assert_allclose(found, [4, 3.5, 1.5])


def test_missing_scores_take_the_mean_of_the_training_models_alone() -> None:
    scores = np.array([[1.0], [3], [np.nan], [100]])
    ratings = np.array([1.0, 3, 2, 7])
    # Without the last: 1 -> 1, 3 -> 3, the hole filled with 2; y = x exactly.
    hole = predicted(scores[:3], ratings[:3], "min-norm", np.array([[np.nan]]))
    assert hole[0] == pytest.approx(2)
    assert left_out(scores, ratings, np.arange(4), "min-norm")[3] == pytest.approx(100)


@pytest.mark.parametrize("method", ["ridge", "min-norm", "single", "mean"])
def test_a_family_left_out_together_never_sees_its_own_ratings(method: str) -> None:
    scores, ratings = data(2, 12, 4)
    families = np.repeat(np.arange(4), 3)
    before = left_out(scores, ratings, families, method)
    for family in range(4):
        wild = ratings.copy()
        wild[families == family] = [1e6, -1e6, 3e5]
        after = left_out(scores, wild, families, method)
        np.testing.assert_array_equal(after[families == family], before[families == family])
        assert not np.allclose(after[families != family], before[families != family])


def test_benchmark_constant_in_a_fold_gets_no_weight() -> None:
    scores = np.array([[1, 0.7], [2, 0.7], [3, 0.7], [4, 0.9]])
    ratings = np.array([1.0, 2, 3, 4])
    for method in ("ridge", "min-norm", "single"):
        ends = predicted(scores[:3], ratings[:3], method, np.array([[2, 0.0], [2, 9.0]]))
        assert ends[0] == pytest.approx(ends[1])


def test_rmse_and_its_interval() -> None:
    found = rmse_interval(np.array([3.0, -4, 3, -4]), np.arange(4), 0.9, 500, 0)
    assert found[0] == pytest.approx(np.sqrt(12.5))
    assert 3 <= found[1] <= found[0] <= found[2] <= 4
    one = rmse_interval(np.array([3.0, -4]), np.zeros(2, int), 0.9, 100, 0)
    np.testing.assert_allclose(one, np.sqrt(12.5))


def test_partial_least_squares_do_not_depend_on_the_unit_of_the_ratings() -> None:
    rng = np.random.default_rng(17)
    z, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 2))
    z, y = z - z.mean(0), y - y.mean(0)
    path = pls_path(z, y, 3)
    for unit in (1e-13, 1e9):
        np.testing.assert_allclose(pls_path(z, unit * y, 3) / unit, path, atol=1e-9)
