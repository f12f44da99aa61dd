"""Validation by model, family and date: nothing of what is left out may reach its own forecast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tasks.preference.engine.folds import folds_of, schemes_possible
from tasks.preference.engine.predicting import predict
from tasks.preference.engine.resampled_errors import rmse_ratio_interval
from tasks.preference.table_forecast import forecast_pair
from tasks.preference.validating import validate, validate_pair
from tests.tasks.preference.tables_at_hand import leveled, paired

MODEL, FAMILY, TIME = "leave-one-model-out", "leave-one-family-out", "forward-in-time"


def small(random_seed: int = 0, n: int = 12, **more) -> object:
    scores, ratings = leveled(random_seed, n, 4, 3, holes=0.15)
    ratings[2, 1] = np.nan
    families = [f"F{i // 2}" for i in range(n)]
    return paired(scores, ratings, families, np.linspace(0, 3, n), np.arange(n) // 2 * 30.0, **more)


@pytest.mark.parametrize("scheme", [MODEL, FAMILY])
@pytest.mark.parametrize("method", ["auto", "level-light", "pls"])
def test_a_left_out_model_s_ratings_are_hidden_in_every_category(scheme: str, method: str) -> None:
    data = small()
    before = validate_pair(data, [method], scheme, 0.7).cells
    for fold in folds_of(data, scheme)[0][:2]:
        wild = data.ratings.copy()
        wild[fold.test] = 1e4 * np.random.default_rng(1).normal(size=wild[fold.test].shape)
        after = validate_pair(replace(data, ratings=wild), [method], scheme, 0.7).cells
        names = np.array(data.models)[fold.test]
        columns = ["predicted", "low", "high"]
        hidden = before["model"].isin(names) & np.isfinite(before["predicted"])
        same = after.set_index(["method", "model", "target"])[columns]
        told = before[hidden].set_index(["method", "model", "target"])[columns]
        np.testing.assert_allclose(same.loc[told.index].to_numpy(), told.to_numpy(), rtol=1e-9)
        others = before[~hidden].set_index(["method", "model", "target"])["predicted"]
        assert not np.allclose(same.loc[others.index, "predicted"], others)


def test_forward_in_time_sees_no_later_model() -> None:
    data = small()
    before = validate_pair(data, ["auto"], TIME).cells
    late = data.dates >= data.dates.max()
    wild, moved = data.ratings.copy(), data.scores.copy()
    wild[late] += 1e3
    moved[late] -= 5
    after = validate_pair(replace(data, ratings=wild, scores=moved), ["auto"], TIME).cells
    early = ~before["model"].isin(np.array(data.models)[late])
    pd.testing.assert_frame_equal(before[early], after[early])
    assert set(before["model"]).isdisjoint(data.models[:2])


def test_the_best_of_three_baselines_stands_beside_each_method() -> None:
    table = validate_pair(small(), ["ridge"], MODEL).table
    for target, part in table.groupby("target"):
        rmse = part.set_index("method")["rmse"]
        best = rmse[["mean", "log-params", "single"]]
        assert (part["baseline_rmse"] == best.min()).all(), target
        assert (part["baseline"] == best.idxmin()).all()
        np.testing.assert_allclose(part["ratio"], part["rmse"] / best.min())
    assert table.loc[(table["target"] == "t1"), "n"].eq(11).all()


def test_log_parameters_alone_are_a_baseline() -> None:
    rng = np.random.default_rng(2)
    size = rng.normal(size=30)
    data = paired(
        rng.normal(size=(30, 3)), size[:, None] * [1, 2] + 0.05 * rng.normal(size=(30, 2)), log_params=size
    )
    table = validate_pair(data, ["ridge"], MODEL).table
    assert (table["baseline"] == "log-params").all()


def test_auto_beats_baselines_where_benchmarks_tell_and_covers_as_it_says() -> None:
    scores, ratings = leveled(3, 30, 6, 6, holes=0.3)
    found = validate_pair(paired(scores, ratings), ["auto"], MODEL, 0.9)
    told = next(row for row in found.summary() if row["method"] == "auto")
    assert told["median_ratio"] < 0.8
    assert told["worst_ratio"] < 1.1
    # 30 models, whose errors go together over the categories: a standard error of about .055.
    assert 0.8 <= told["coverage"] <= 1


def test_auto_falls_back_where_benchmarks_tell_nothing() -> None:
    rng = np.random.default_rng(4)
    scores, ratings = leveled(4, 24, 5, 4)
    ratings = np.hstack([ratings, rng.normal(size=(24, 1))])
    found = validate_pair(paired(scores, ratings), ["auto"], MODEL)
    noise = found.table[(found.table["target"] == "t4") & (found.table["method"] == "auto")].iloc[0]
    assert noise["ratio"] < 1.1


def test_relatives_flatter_and_leaving_families_out_shows_it() -> None:
    rng = np.random.default_rng(5)
    base, house = rng.normal(size=(10, 4)), rng.normal(size=(10, 2))
    scores = np.repeat(base, 4, axis=0) + 0.02 * rng.normal(size=(40, 4))
    ratings = np.repeat(house, 4, axis=0) + 0.02 * rng.normal(size=(40, 2))
    data = paired(scores, ratings, [f"F{i // 4}" for i in range(40)])
    rmse = {
        s: validate_pair(data, ["ridge"], s).table.query("method == 'ridge'")["rmse"].min()
        for s in (MODEL, FAMILY)
    }
    assert rmse[FAMILY] > 1.3 * rmse[MODEL]


def test_schemes_are_offered_only_where_the_tables_allow_them() -> None:
    scores, ratings = leveled(6, 8, 3, 2)
    assert schemes_possible(paired(scores, ratings)) == [MODEL]
    assert schemes_possible(small()) == [MODEL, FAMILY, TIME]
    with pytest.raises(ValueError, match="0 of 8 models have a date"):
        folds_of(paired(scores, ratings), TIME)
    with pytest.raises(ValueError, match="2 families; at least 3"):
        folds_of(paired(scores, ratings, ["a", "b"] * 4), FAMILY)


def test_public_function_takes_frames_and_names_what_is_allowed() -> None:
    scores, ratings = leveled(7, 10, 3, 2)
    names = pd.Index([f"m{i}" for i in range(10)], name="model")
    frames = pd.DataFrame(scores, names, ["a", "b", "c"]), pd.DataFrame(ratings, names, ["x", "y"])
    table = validate(*frames, ["ridge", "min-norm", "pls", "pcr"], "leave-one-model-out")
    assert set(table["method"]) == {"ridge", "min-norm", "pls", "pcr", "mean", "log-params", "single"}
    assert {"target", "rmse", "baseline_rmse", "coverage"} <= set(table.columns)
    with pytest.raises(ValueError, match=r"scheme='ten-fold': allowed are \['leave-one-model-out'"):
        validate(*frames, ["ridge"], "ten-fold")
    with pytest.raises(ValueError, match=r"methods=\['lasso'\]"):
        validate(*frames, ["lasso"])


def test_three_models_are_enough_to_be_told_that_they_are_not() -> None:
    scores, ratings = leveled(8, 3, 4, 2)
    found = validate_pair(paired(scores, ratings), ["auto"], MODEL)
    assert np.isfinite(found.table["rmse"]).all()
    assert found.table["coverage"].isna().all()


def test_a_far_model_is_flagged_and_its_interval_holds_its_forecast() -> None:
    scores, ratings = leveled(9, 25, 4, 2)
    others = np.vstack([scores.mean(0), scores.mean(0) + 40])
    found = forecast_pair(paired(scores, ratings, others=others), "auto", 0.9)
    assert found.models["extrapolates"].tolist() == [False, True]
    assert found.models.loc[1, "leverage"] > found.models.loc[1, "leverage_rated"]
    assert (
        (found.rows["low"] <= found.rows["predicted"]) & (found.rows["predicted"] <= found.rows["high"])
    ).all()
    assert any("backed by no evidence: u1" in note for note in found.notes)


def test_intervals_say_what_is_guaranteed_and_what_they_were_seen_to_hold() -> None:
    scores, ratings = leveled(9, 25, 4, 2)
    found = forecast_pair(paired(scores, ratings, others=scores[:1]), "ridge", 0.9).to_json()["coverage"]
    assert (found["nominal"], found["guaranteed"], found["ratings"]) == (0.9, pytest.approx(0.8), 50)
    assert 0.8 <= found["measured"] <= 1
    assert "guarantees at most 80%" in found["words"] and f"{found['measured']:.0%} of 50" in found["words"]
    few = forecast_pair(paired(scores[:9], ratings[:9], others=scores[:1]), "ridge", 0.9).coverage
    assert few["measured"] is None and "could not be measured" in few["words"]


def test_noise_of_the_scores_widens_by_the_slope() -> None:
    scores, ratings = leveled(10, 30, 1, 1, noise=0.2)
    others = np.zeros((1, 1))
    exact = forecast_pair(paired(scores, ratings, others=others), "ridge", 0.9)
    noisy = forecast_pair(
        replace(paired(scores, ratings, others=others), other_score_errors=np.array([[0.5]])), "ridge", 0.9
    )
    b = np.polyfit(scores[:, 0], ratings[:, 0], 1)[0]
    half = [float((found.rows["high"] - found.rows["low"]).iloc[0] / 2) for found in (exact, noisy)]
    assert noisy.rows["predicted"].iloc[0] == exact.rows["predicted"].iloc[0]
    # Ridge's smallest penalty shrinks the slope by less than a thousandth or two here.
    assert half[1] == pytest.approx(np.hypot(half[0], 1.6448536 * 0.5 * abs(b)), rel=0.01)


def test_errors_of_ratings_are_taken_out_of_the_error() -> None:
    rng = np.random.default_rng(12)
    scores, truth = leveled(11, 100, 4, 1, noise=0.01)
    noisy = truth + 0.5 * rng.normal(size=truth.shape)
    found = validate_pair(paired(scores, noisy, errors=np.full(truth.shape, 0.5)), ["ridge"], MODEL)
    row = found.table.query("method == 'ridge'").iloc[0]
    assert row["noise"] == 0.5
    assert row["rmse"] == pytest.approx(0.5, abs=0.08)
    assert row["rmse_without_noise"] < 0.2


def rated_in_one_family(random_seed: int = 13) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Four families of three; only the first one is rated in the last category."""
    scores, ratings = leveled(random_seed, 12, 4, 3)
    ratings[3:, 2] = np.nan
    return scores, ratings, [f"F{i // 3}" for i in range(12)]


@pytest.mark.parametrize("more_ratings", [0, 1])
def test_a_category_with_fewer_than_two_ratings_is_predicted_by_no_method(more_ratings: int) -> None:
    scores, ratings, families = rated_in_one_family()
    ratings[3 : 3 + more_ratings, 2] = 0.5
    data = paired(scores, ratings, families, np.linspace(0, 3, 12))
    found = validate_pair(data, ["auto", "level-light", "level-strong", "single-filled"], FAMILY, 0.7)
    # One more rating is left out with two or more left: the first family's stay without any forecast.
    assert (found.cells["target"] == "t2").sum() == more_ratings * found.cells["method"].nunique()
    assert set(found.table["target"]) == {"t0", "t1"} | ({"t2"} if more_ratings else set())
    assert all(np.isfinite(row["median_rmse"]) for row in found.summary())


def test_methods_are_compared_on_the_cells_that_all_of_them_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def gappy(methods: list[str], train: object, scores: np.ndarray, log_params: np.ndarray) -> dict:
        found = predict(methods, train, scores, log_params)
        if len(train.ratings) == 11 and np.allclose(scores, data.scores[4]):
            new = found["ridge"].new.copy()
            new[:, 0] = np.nan
            found["ridge"] = replace(found["ridge"], new=new)
        return found

    data = paired(*leveled(14, 12, 4, 2))
    whole = validate_pair(data, ["ridge"], MODEL, 0.7)
    monkeypatch.setattr("tasks.preference.validating.predict", gappy)
    found = validate_pair(data, ["ridge"], MODEL, 0.7)
    assert len(found.cells) == len(whole.cells) - 1
    assert found.table.groupby("target")["n"].unique().map(list).to_dict() == {"t0": [11], "t1": [12]}
    mean = whole.cells.query("method == 'mean' and target == 't0' and model != 'm004'")
    row = found.table.query("method == 'mean' and target == 't0'").iloc[0]
    assert row["rmse"] == pytest.approx(np.sqrt(((mean["predicted"] - mean["truth"]) ** 2).mean()))
    assert {told["intervals"] + told["infinite_intervals"] for told in found.summary()} == {23}


def test_a_scheme_that_can_predict_no_category_is_not_offered() -> None:
    scores, ratings, families = rated_in_one_family()
    data = paired(scores, ratings[:, 2:], families)
    assert schemes_possible(data) == [MODEL]
    with pytest.raises(
        ValueError, match="family-out: no category has a rating in a fold and 2 or more in what"
    ):
        folds_of(data, FAMILY)


def test_a_baseline_without_any_error_divides_nothing() -> None:
    rng = np.random.default_rng(15)
    data = paired(rng.normal(size=(8, 2)), rng.normal(size=(8, 2)))
    found = validate_pair(data, ["ridge"], MODEL, 0.7)
    table = found.table.copy()
    table.loc[table["method"] == "single", "rmse"] = 0.0
    told = {row["method"]: row["ratio_of_medians"] for row in replace(found, table=table).summary()}
    assert (told["single"], told["ridge"]) == (1.0, np.inf)


def test_resamples_without_a_baseline_s_error_have_a_ratio_too() -> None:
    families = np.arange(4)
    baseline = np.array([0.0, 0.0, 0.0, 2.0])
    same = rmse_ratio_interval(baseline, baseline, families, 0.9, 500, 0)
    assert same.tolist() == [1, 1, 1]
    ours = np.array([1.0, 1.0, 1.0, 2.0])
    ratio, low, high = rmse_ratio_interval(ours, baseline, families, 0.9, 500, 0)
    assert ratio == pytest.approx(np.sqrt(7 / 4))
    # (3/4)^4 of the resamples lack the only family with an error: the upper end is infinite, the lower is not.
    assert 1 <= low < ratio
    assert high == np.inf
