"""Correlations against hand-worked numbers and SciPy, and what chance gives at small n."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tasks.preference.correlation import Resampling, coefficients, correlate, pearson_null_quantile

RESAMPLING = Resampling(bootstraps=200, permutations=2000, confidence=0.9, seed=0)


def run(
    scores: dict[str, list[float]],
    ratings: list[float],
    params: list[float] | None = None,
    families: list[str] | None = None,
    errors: list[float] | None = None,
    resampling: Resampling = RESAMPLING,
) -> pd.DataFrame:
    models = [f"m{i:02d}" for i in range(len(ratings))]
    unknown = [np.nan] * len(models)
    frame = correlate(
        pd.DataFrame(scores, index=models),
        pd.Series(ratings, models),
        pd.Series(families or models, models),
        pd.Series(params or unknown, models),
        pd.Series(errors or unknown, models),
        resampling,
    )
    return frame.set_index(["benchmark", "statistic", "removed"])


def test_four_models_by_hand() -> None:
    # y = 1 2 3 4, x = 1 3 2 4: r = rho = 1 - 6*2/(4*15) = .8; five of six pairs agree: tau = 4/6.
    found = run({"x": [1, 3, 2, 4]}, [1, 2, 3, 4])
    assert found.loc[("x", "pearson", ""), "value"] == pytest.approx(0.8)
    assert found.loc[("x", "spearman", ""), "value"] == pytest.approx(0.8)
    assert found.loc[("x", "kendall", ""), "value"] == pytest.approx(4 / 6)


def test_smallest_exact_p_at_four_models_is_two_in_24() -> None:
    found = run({"x": [1, 2, 3, 4]}, [1, 2, 3, 4])
    assert found.loc[("x", "spearman", ""), "p"] == pytest.approx(2 / 24)
    assert found.loc[("x", "spearman", ""), "p_family_wise"] == pytest.approx(2 / 24)


def test_null_pearson_is_uniform_at_four_models() -> None:
    assert pearson_null_quantile(4, 0.9) == pytest.approx(0.9)
    assert pearson_null_quantile(4, 0.5) == pytest.approx(0.5)
    # Tables give .4438 as the two-sided .05 point at 20 pairs.
    assert pearson_null_quantile(20, 0.95) == pytest.approx(0.4438, abs=1e-4)


def test_permutation_null_quantile_agrees_with_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    found = run({"x": rng.normal(size=30).tolist()}, rng.normal(size=30).tolist())
    assert found.loc[("x", "pearson", ""), "null_quantile"] == pytest.approx(
        pearson_null_quantile(30, 0.9), abs=0.03
    )


def test_weights_count_a_model_as_often_as_it_was_drawn() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 5, (2, 12)).astype(float)
    drawn = np.array([3, 0, 1, 2, 0, 1, 1, 0, 2, 1, 1, 0])
    long_x, long_y = np.repeat(x, drawn), np.repeat(y, drawn)
    found = coefficients(x[None], y[None], drawn[None].astype(float))[0]
    expected = [
        stats.pearsonr(long_x, long_y)[0],
        stats.spearmanr(long_x, long_y)[0],
        stats.kendalltau(long_x, long_y)[0],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_missing_cells_are_left_out_pairwise_and_counted() -> None:
    full = run({"x": [1, 3, 2, 5, 4]}, [1, 2, 3, 4, 5])
    holed = run({"x": [1, 3, 2, 5, 4, np.nan], "y": [3, 1, 2, 4, 6, 5]}, [1, 2, 3, 4, 5, 6])
    assert holed.loc[("x", "pearson", ""), "n"] == 5
    assert holed.loc[("y", "pearson", ""), "n"] == 6
    assert holed.loc[("x", "kendall", ""), "value"] == pytest.approx(full.loc[("x", "kendall", ""), "value"])


def test_removing_log_parameters_leaves_the_partial_correlation() -> None:
    rng = np.random.default_rng(3)
    size = np.exp(rng.normal(2, 1, 25))
    x = np.log(size) + 0.3 * rng.normal(size=25)
    y = np.log(size) + 0.3 * rng.normal(size=25)
    found = run({"x": x.tolist()}, y.tolist(), params=size.tolist())
    xy, xz, yz = (stats.pearsonr(*pair)[0] for pair in ((x, y), (x, np.log(size)), (y, np.log(size))))
    partial = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert found.loc[("x", "pearson", ""), "value"] == pytest.approx(xy)
    assert found.loc[("x", "pearson", "log parameters"), "value"] == pytest.approx(partial)


def test_models_of_unknown_size_count_only_before_removal() -> None:
    found = run({"x": [1, 3, 2, 5, 4, 6]}, [1, 2, 3, 4, 5, 6], params=[1, 2, 4, 9, 16, np.nan])
    assert found.loc[("x", "pearson", ""), "n"] == 6
    assert found.loc[("x", "pearson", "log parameters"), "n"] == 5


def test_family_wise_p_controls_the_chance_of_any_false_claim() -> None:
    rng = np.random.default_rng(4)
    few = Resampling(bootstraps=100, permutations=199, confidence=0.9, seed=0)
    smallest, naive = [], []
    for _ in range(100):
        scores = {f"b{j}": rng.normal(size=12).tolist() for j in range(8)}
        found = run(scores, rng.normal(size=12).tolist(), resampling=few).xs("pearson", level="statistic")
        smallest.append(found["p_family_wise"].min())
        naive.append(found["p"].min())
    # Binomial(100, .1) exceeds 18 with probability .005.
    assert np.mean(np.array(smallest) <= 0.1) <= 0.18
    assert np.mean(np.array(naive) <= 0.1) >= 0.3


def test_siblings_do_not_pass_for_independent_evidence() -> None:
    rng = np.random.default_rng(5)
    base_x = rng.normal(size=8)
    base_y = base_x + rng.normal(size=8)
    x, y = (np.repeat(base, 5) + 0.01 * rng.normal(size=40) for base in (base_x, base_y))
    families = [f"f{i // 5}" for i in range(40)]
    width = {}
    for name, kinds in (("families", families), ("models", None)):
        row = run({"x": x.tolist()}, y.tolist(), families=kinds).loc[("x", "pearson", "")]
        width[name] = row["high"] - row["low"]
    assert width["families"] > 1.5 * width["models"]


def test_uncertain_ratings_widen_the_interval() -> None:
    x = np.linspace(0, 1, 15)
    sure = run({"x": x.tolist()}, x.tolist()).loc[("x", "pearson", "")]
    unsure = run({"x": x.tolist()}, x.tolist(), errors=[0.3] * 15).loc[("x", "pearson", "")]
    assert sure["low"] == pytest.approx(1)
    assert unsure["low"] < 0.9


def test_one_family_alone_gives_no_interval() -> None:
    found = run({"x": [1, 3, 2, 5, 4]}, [1, 1, 1, 1, 2], families=["a", "a", "a", "a", "b"])
    assert found.loc[("x", "pearson", ""), ["low", "high"]].tolist() == [-1, 1]
