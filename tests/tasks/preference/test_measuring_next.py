"""What to measure next: promises against what measuring then brings, costs, and the past."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.preference.engine.gaussian import Normal
from tasks.preference.engine.level import STRENGTHS, fit_level
from tasks.preference.measuring_next import backwards, level_covariance, promised_cuts, rank_next, read_costs
from tests.tasks.preference.tables_at_hand import paired


def telling(random_seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Benchmark 0 tells the level well, 1 a little, 2 not at all."""
    rng = np.random.default_rng(random_seed)
    level = rng.normal(size=(n, 1))
    scores = level * [1, 1, 0] + [0.15, 1.5, 1.0] * rng.normal(size=(n, 3))
    return scores, level * [1.0, 2.0] + 0.05 * rng.normal(size=(n, 2))


def test_variance_of_the_level_by_hand() -> None:
    # Var(L | x) = 1 - .8^2; nothing known: 1.
    normal = Normal(np.zeros(2), np.array([[1.0, 0.8], [0.8, 1.0]]))
    assert level_covariance(normal, np.array([0]), 1)[0, 0] == pytest.approx(0.36)
    assert level_covariance(normal, np.array([], dtype=int), 1)[0, 0] == 1


def test_the_telling_benchmark_comes_first_and_cost_counts() -> None:
    scores, ratings = telling(0, 80)
    others = np.full((4, 3), np.nan)
    others[:, 2] = [0, 1, 2, 3]
    data = paired(scores, ratings, others=others)
    free = rank_next(data, {})
    assert free.benchmarks["benchmark"].tolist() == ["b0", "b1", "b2"]
    assert free.benchmarks["lacking"].tolist() == [4, 4, 0]
    dear = rank_next(data, {"b0": 1000.0})
    assert dear.benchmarks["benchmark"].iloc[0] == "b1"
    # Four models at 1000 each.
    assert dear.benchmarks.set_index("benchmark").loc["b0", "cost"] == 4000


def test_promised_cuts_are_what_measuring_brings_on_average() -> None:
    scores, ratings = telling(1, 3000)
    train, test = np.arange(1500), np.arange(1500, 3000)
    model = fit_level(scores[train], ratings[train], scores[:0], STRENGTHS[0])
    bare = np.full((1500, 3), np.nan)
    promised = promised_cuts(model, bare)[0]
    before = ((model.predict(bare) - ratings[test]) ** 2).mean()
    for j in range(3):
        one = bare.copy()
        one[:, j] = scores[test, j]
        brought = before - ((model.predict(one) - ratings[test]) ** 2).mean()
        # A variance of 1500 models has a relative standard error of .037.
        assert promised[j] == pytest.approx(brought, abs=0.08 * before)
    assert promised[0] > 2 * promised[1] > 2 * promised[2]


def test_a_model_amid_the_others_is_worth_more_than_one_apart() -> None:
    scores, ratings = telling(2, 30)
    rng = np.random.default_rng(3)
    crowd = np.array([3.0, 3.0, 3.0]) + 0.1 * rng.normal(size=(8, 3))
    others = np.vstack([crowd, scores.mean(0)])
    found = rank_next(paired(scores, ratings, others=others), {}).models
    assert found["model"].iloc[0] != "u8"
    assert found.set_index("model").loc["u8", "cut"] < found["cut"].max() / 3


def test_the_past_bears_out_the_promises() -> None:
    scores, ratings = telling(4, 60)
    found = backwards(paired(scores, ratings, dates=np.arange(60.0) // 3))
    assert found is not None
    # With b0 at hand neither b1 nor b2 brings anything more, so only the place of b0 is sure.
    assert found["spearman_of_benchmarks"] >= 0.5
    assert (
        found["brought_by_lot"] < found["brought_by_promised_best"] <= found["brought_by_best_in_hindsight"]
    )
    assert backwards(paired(scores, ratings)) is None


def test_later_ratings_change_no_earlier_promise() -> None:
    scores, ratings = telling(5, 30)
    dates = np.arange(30.0) // 3
    wild = ratings.copy()
    wild[dates == 9] = 100
    kept = dates < 9
    one, two = (backwards(paired(scores[kept], r[kept], dates=dates[kept])) for r in (ratings, wild))
    assert one == two


def test_costs_are_checked() -> None:
    assert read_costs(pd.DataFrame({"name": ["b0"], "cost": [2]})) == {"b0": 2.0}
    with pytest.raises(ValueError, match=r"costs row 0: cost 0 of 'b0' must be above 0"):
        read_costs(pd.DataFrame({"name": ["b0"], "cost": [0]}))
    with pytest.raises(ValueError, match="columns name and cost are needed"):
        read_costs(pd.DataFrame({"name": ["b0"]}))
