"""The whole forecast: on the bundled table, on the run's models, and kept in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tasks.preference import Forecast, PreferenceSettings
from tasks.preference import forecast_run as forecast
from tasks.preference.table import BUNDLED, ModelTable, read_table

COLUMNS = ["model", "task", "metric", "value", "stderr"]
FAST = {"permutations": 99, "bootstraps": 100}
TWO = PreferenceSettings(benchmarks=["MMLU", "HellaSwag"], **FAST)


def rows(*cells: tuple[str, str, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(cells, columns=COLUMNS)


def both(
    model: str, mmlu: float, hellaswag: float, stderr: float = 0.01
) -> list[tuple[str, str, str, float, float]]:
    return [
        (model, "mmlu_test", "acc", mmlu, stderr),
        (model, "hellaswag_val", "acc_norm", hellaswag, stderr),
        (model, "hellaswag_val", "acc", 0.1, stderr),
    ]


RUN = rows(*both("ours", 0.55, 0.8))


@pytest.fixture(scope="module")
def whole() -> Forecast:
    return forecast(RUN, None, PreferenceSettings())


def test_bundled_forecast_stands_beside_its_baselines_in_both_schemes(whole: Forecast) -> None:
    told = whole.validation.set_index(["scheme", "method"])
    for scheme in ("leave-one-model-out", "leave-one-family-out"):
        assert set(told.loc[scheme].index) == {"ridge", "mean", "single", "log-params"}
        assert (told.loc[scheme, "n"] == 19).all()
        assert (told.loc[scheme, "low"] <= told.loc[scheme, "rmse"]).all()
        assert (told.loc[scheme, "rmse"] <= told.loc[scheme, "high"]).all()
    errors = whole.loo["predicted"] - whole.loo["truth"]
    assert told.loc[("leave-one-model-out", "ridge"), "rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    held = int(whole.loo["truth"].between(whole.loo["low"], whole.loo["high"]).sum())
    assert whole.about["coverage"]["leave-one-model-out"] == {"covered": held, "of": 19}
    assert len(whole.correlations) == 8 * 3 * 2


def test_notes_tell_size_chance_coverage_and_the_verdict_against_the_best_baseline(whole: Forecast) -> None:
    text = " ".join(whole.notes)
    assert "19 rated models of 14 families and 8 benchmarks" in text
    assert "an unrelated benchmark reaches |r| = 0.44 with probability 10%" in text
    assert "Measured coverage of the 90% intervals, leave one family out" in text
    assert "times the RMSE of single, the best of the others" in text
    assert "19 of 19 ratings were published without an interval" in text


def test_a_model_without_the_benchmarks_has_no_rating_but_a_list_of_what_is_missing() -> None:
    found = forecast(rows(*both("ours", 0.55, 0.8), ("bare", "mmlu_test", "acc", 0.3, 0.01)), None, TWO)
    told = found.rows.set_index("model")
    assert told.loc["bare", "missing"] == "HellaSwag"
    assert told.loc["bare", ["rating", "low", "high"]].isna().all()
    assert told.loc["ours", "missing"] == ""
    assert told.loc["ours", "low"] < told.loc["ours", "rating"] < told.loc["ours", "high"]
    assert any("bare lacks HellaSwag" in note for note in found.notes)


def test_a_model_far_from_the_public_ones_is_flagged() -> None:
    found = forecast(rows(*both("near", 0.55, 0.8), *both("pocket", 0.25, 0.26)), None, TWO)
    told = found.rows.set_index("model")
    assert not told.loc["near", "extrapolates"]
    assert told.loc["near", "leverage"] < told.loc["near", "leverage_fitted"]
    assert told.loc["pocket", "extrapolates"]
    assert told.loc["pocket", "outside"] == "MMLU, HellaSwag"
    assert any(note.startswith("Outside the public models") and "pocket" in note for note in found.notes)


def test_noise_of_the_run_s_scores_widens_its_interval_by_the_slopes() -> None:
    exact, noisy = (forecast(rows(*both("ours", 0.55, 0.8, s)), None, TWO) for s in (0.0, 0.05))
    ends = [found.rows.loc[0, ["low", "high"]].astype(float).to_numpy() for found in (exact, noisy)]
    slopes = np.array(list(exact.about["slopes"].values()))
    half = (ends[0][1] - ends[0][0]) / 2
    expected = np.hypot(half, 1.6448536 * 0.05 * np.linalg.norm(slopes))
    assert noisy.rows.loc[0, "rating"] == exact.rows.loc[0, "rating"]
    assert (ends[1][1] - ends[1][0]) / 2 == pytest.approx(expected, rel=1e-6)


def test_unknown_noise_is_told() -> None:
    found = forecast(rows(*both("ours", 0.55, 0.8, float("nan"))), None, TWO)
    assert any("No standard error of MMLU for ['ours']" in note for note in found.notes)


def shuffled(folder: Path) -> Path:
    head, *lines = BUNDLED.read_text(encoding="utf-8").splitlines()
    np.random.default_rng(3).shuffle(lines)
    path = folder / "public_models.csv"
    path.write_text("\n".join([head, *lines]), encoding="utf-8")
    return path


def test_order_of_rows_changes_nothing(tmp_path: Path) -> None:
    one = forecast(RUN, None, PreferenceSettings(**FAST))
    other = forecast(RUN.iloc[::-1], read_table(shuffled(tmp_path)), PreferenceSettings(**FAST))
    assert one.to_json() == other.to_json()


def with_rating(table: ModelTable, model: str, rating: float) -> ModelTable:
    values = table.values.copy()
    values.loc[model, "human_rating"] = rating
    return ModelTable(values, table.errors, table.families, table.params_b, table.provenance, table.name)


@pytest.mark.parametrize("model", ["gpt-4-0314", "dolly-v2-12b", "llama-2-13b-chat"])
def test_a_left_out_model_s_rating_never_reaches_its_own_prediction(model: str) -> None:
    table = read_table()
    settings = PreferenceSettings(**FAST)
    before, after = (
        forecast(RUN, t, settings).loo.set_index("model") for t in (table, with_rating(table, model, -50.0))
    )
    columns = ["predicted", "low", "high"]
    assert before.loc[model, columns].tolist() == after.loc[model, columns].tolist()
    others = before.index != model
    assert not np.allclose(before.loc[others, "predicted"], after.loc[others, "predicted"])


def test_a_run_s_model_that_stands_in_the_table_is_not_forecast_from_its_own_rating() -> None:
    table = read_table()
    scores = rows(*both("meta-llama/Llama-2-13B-chat", 0.5412, 0.8194))
    one = forecast(scores, table, TWO)
    two = forecast(scores, with_rating(table, "llama-2-13b-chat", 5.0), TWO)
    assert one.rows.loc[0, "rating"] == two.rows.loc[0, "rating"]
    assert any("stands in the table" in note for note in one.notes)


def synthetic(folder: Path, models: int, benchmarks: int) -> Path:
    rng = np.random.default_rng(7)
    scores = rng.uniform(0.2, 0.9, (models, benchmarks))
    frame = pd.DataFrame(scores, columns=[f"b{j}" for j in range(benchmarks)])
    frame.insert(0, "model", [f"m{i}" for i in range(models)])
    frame["human_rating"] = scores.sum(1) + rng.normal(0, 0.1, models)
    path = folder / "synthetic.csv"
    frame.to_csv(path, index=False)
    return path


def test_more_benchmarks_than_models_is_said_to_carry_nothing_alone(tmp_path: Path) -> None:
    settings = PreferenceSettings(table=synthetic(tmp_path, 10, 12), method="min-norm", **FAST)
    found = forecast(RUN, None, settings)
    assert any("least squares fits any ratings exactly" in note for note in found.notes)
    assert any("p/n = 1.20" in note for note in found.notes)
    assert any("No baseline from log parameters" in note for note in found.notes)


def test_coverage_is_not_claimed_where_it_cannot_be_measured(tmp_path: Path) -> None:
    found = forecast(RUN, None, PreferenceSettings(table=synthetic(tmp_path, 9, 2), **FAST))
    assert found.about["coverage"]["leave-one-model-out"] is None
    assert any("not measurable" in note for note in found.notes)
    assert all(row["low"] is None for row in found.to_json()["loo"])


def test_what_the_table_cannot_carry_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"8 models have a human_rating.* confidence 0.9 an interval needs at least 9"
    ):
        forecast(RUN, None, PreferenceSettings(table=synthetic(tmp_path, 8, 2), **FAST))
    with pytest.raises(ValueError, match=r"rating='elo': public_models.csv has no such quantity; it has"):
        forecast(RUN, None, PreferenceSettings(rating="elo"))
    with pytest.raises(ValueError, match=r"benchmarks=\['Chess'\]: public_models.csv has no such benchmark"):
        forecast(RUN, None, PreferenceSettings(benchmarks=["MMLU", "Chess"]))
    path = synthetic(tmp_path, 12, 2)
    pd.read_csv(path).assign(flat=0.5).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"\['flat'\] do not vary"):
        forecast(RUN, None, PreferenceSettings(table=path, **FAST))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"value": 55.0}, r"ours on mmlu_test is 55, but the table has MMLU as a fraction"),
        ({"value": float("inf")}, r"value of model ours, task mmlu_test, metric acc is inf"),
        ({"value": float("nan")}, r"value of model ours, task mmlu_test, metric acc is nan"),
        ({"stderr": -0.1}, r"stderr of model ours, task mmlu_test, metric acc is -0.1.*0 or more"),
    ],
)
def test_bad_scores_are_refused(change: dict[str, float], told: str) -> None:
    scores = RUN.copy()
    for column, value in change.items():
        scores.loc[0, column] = value
    with pytest.raises(ValueError, match=told):
        forecast(scores, None, TWO)


def test_repeated_and_incomplete_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows for model ours, task mmlu_test, metric acc"):
        forecast(pd.concat([RUN, RUN.iloc[:1]]), None, TWO)
    with pytest.raises(ValueError, match=r"columns \['stderr'\] are missing"):
        forecast(RUN.drop(columns="stderr"), None, TWO)
    with pytest.raises(ValueError, match=r"names: \['Chess'\] are not among the benchmarks used"):
        forecast(RUN, None, TWO.model_copy(update={"names": {"mmlu_test": "Chess"}}))


@pytest.mark.parametrize("task", ["mmlu_pro", "mmlu_dev", "mmlu_anatomy"])
def test_a_task_of_another_kind_is_not_taken_for_the_benchmark(task: str) -> None:
    scores = RUN.replace({"task": {"mmlu_test": task}})
    assert forecast(scores, None, TWO).rows.loc[0, "missing"] == "MMLU"
    named = TWO.model_copy(update={"names": {task: "MMLU"}})
    assert forecast(scores, None, named).rows.loc[0, "missing"] == ""


def test_two_tasks_for_one_benchmark_are_not_chosen_between_in_silence() -> None:
    scores = rows(*both("ours", 0.55, 0.8), ("ours", "mmlu", "acc", 0.6, 0.01))
    found = forecast(scores, None, TWO)
    assert found.rows.loc[0, "missing"] == "MMLU"
    assert any("['mmlu', 'mmlu_test'] all look like MMLU" in note for note in found.notes)


def test_the_published_metric_is_preferred_and_a_stand_in_is_told() -> None:
    plain = RUN[~RUN["metric"].eq("acc_norm")].reset_index(drop=True)
    plain.loc[plain["task"] == "hellaswag_val", "value"] = 0.8
    found = forecast(plain, None, TWO)
    assert found.rows.loc[0, "rating"] == forecast(RUN, None, TWO).rows.loc[0, "rating"]
    assert any("task hellaswag_val gave only acc, used instead" in note for note in found.notes)
    unusable = RUN.assign(metric="bits_per_byte").drop(index=2).reset_index(drop=True)
    assert forecast(unusable, None, TWO).rows.loc[0, "missing"] == "MMLU, HellaSwag"


def test_folder_gives_back_what_was_saved(whole: Forecast, tmp_path: Path) -> None:
    whole.save(tmp_path / "forecast")
    again = Forecast.load(tmp_path / "forecast")
    for name in ("correlations", "validation", "loo", "rows"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(whole, name))
    assert (again.about, again.notes) == (whole.about, whole.notes)
    told = json.loads((tmp_path / "forecast" / "forecast.json").read_text(encoding="utf-8"))
    assert told == again.to_json()
    assert told["rows"][0]["missing"] == [
        "ARC-C",
        "GSM8K",
        "HumanEval",
        "MTBench",
        "TruthfulQA",
        "Winogrande",
    ]
    assert told["rows"][0]["rating"] is None


def test_no_models_of_the_run_still_gives_the_evidence(tmp_path: Path) -> None:
    found = forecast(rows(), None, TWO)
    found.save(tmp_path)
    assert Forecast.load(tmp_path).rows.empty
    assert len(found.loo) == 19


def test_naming_the_stage_loads_no_numerical_library() -> None:
    code = (
        "import sys, tasks.preference as p; p.PreferenceSettings();"
        "print([m for m in ('sklearn', 'scipy', 'pandas', 'numpy') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "wrong",
    [{"confidence": 1.0}, {"benchmarks": []}, {"benchmarks": ["A", "A"]}, {"method": "lasso"}, {"colour": 1}],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PreferenceSettings.model_validate(wrong)
