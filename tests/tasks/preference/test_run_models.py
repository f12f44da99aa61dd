"""A run's models among public ones: which score counts for which benchmark, and never their own ratings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.preference.public_table import read_table
from tasks.preference.run_models import WithRun, public_models, with_run
from tasks.preference.settings import PreferenceSettings
from tasks.preference.table_forecast import TableForecast, forecast_pair

COLUMNS = ["model", "task", "metric", "value", "stderr"]
TWO = PreferenceSettings(benchmarks=["MMLU", "HellaSwag"])
NAMES = {"mmlu_test": "b0", "hellaswag_val": "b1"}
Row = tuple[str, str, str, float, float]


def rows(*cells: Row) -> pd.DataFrame:
    return pd.DataFrame(cells, columns=COLUMNS)


def both(model: str, mmlu: float, hellaswag: float) -> list[Row]:
    return [
        (model, "mmlu_test", "acc", mmlu, 0.01),
        (model, "hellaswag_val", "acc_norm", hellaswag, 0.01),
        (model, "hellaswag_val", "acc", 0.1, 0.01),
    ]


RUN = rows(*both("ours", 0.55, 0.8))


def files(folder: Path, n: int = 16) -> tuple[Path, Path]:
    """A table of public models with three benchmarks that follow one level, and their ratings in two categories."""
    rng = np.random.default_rng(0)
    level = rng.uniform(0.2, 0.8, size=n)
    frame = pd.DataFrame({"model": [f"public-{i}" for i in range(n)]})
    for j in range(3):
        frame[f"b{j}"] = (level + 0.03 * rng.normal(size=n)).clip(0, 1)
    frame["human_rating"] = level
    ratings = frame[["model"]].assign(math=1000 + 300 * level, chat=900 + 500 * level)
    paths = folder / "public.csv", folder / "ratings.csv"
    frame.to_csv(paths[0], index=False)
    ratings.to_csv(paths[1], index=False)
    return paths


def joined(scores: pd.DataFrame, settings: PreferenceSettings = TWO) -> WithRun:
    return with_run(scores, read_table(settings.table), settings)


def forecast(scores: pd.DataFrame, settings: PreferenceSettings) -> TableForecast:
    both = joined(scores, settings)
    return forecast_pair(both.own, "ridge", settings.confidence, both.public)


def test_a_model_with_one_benchmark_is_forecast_and_one_without_is_told(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    settings = PreferenceSettings(table=table, ratings=ratings, names=NAMES)
    scores = rows(
        ("ours", "mmlu_test", "acc", 0.5, 0.01),
        ("ours", "hellaswag_val", "acc", 0.5, 0.01),
        ("thin", "mmlu_test", "acc", 0.5, 0.01),
        ("bare", "other", "acc", 0.5, 0.01),
    )
    assert joined(scores, settings).lacking == {
        "bare": ["b0", "b1", "b2"],
        "ours": ["b2"],
        "thin": ["b1", "b2"],
    }
    found = forecast(scores, settings).rows.set_index(["model", "target"])
    assert set(found.index) == {(model, target) for model in ("ours", "thin") for target in ("math", "chat")}
    assert found.loc[("ours", "math"), "predicted"] == pytest.approx(1150, abs=25)
    assert found.loc[("ours", "chat"), "predicted"] == pytest.approx(1150, abs=40)


def test_a_run_s_model_that_stands_in_the_tables_is_forecast_without_its_ratings(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    settings = PreferenceSettings(table=table, ratings=ratings, names=NAMES)
    scores = rows(("org/Public-3", "mmlu_test", "acc", 0.5, 0.01))
    before = forecast(scores, settings)
    frame = pd.read_csv(ratings).astype({"math": float, "chat": float})
    frame.loc[frame["model"] == "public-3", ["math", "chat"]] = 9999.0
    frame.to_csv(ratings, index=False)
    after = forecast(scores, settings)
    pd.testing.assert_frame_equal(before.rows, after.rows)
    assert any("not learned from: public-3" in note for note in after.notes)


def test_without_ratings_by_category_the_table_s_own_rating_is_the_target(tmp_path: Path) -> None:
    table, _ = files(tmp_path)
    wide = pd.read_csv(table).assign(human_rating_low=lambda t: t["human_rating"] - 0.1)
    wide.assign(human_rating_high=lambda t: t["human_rating"] + 0.1).to_csv(table, index=False)
    data = public_models(read_table(table), PreferenceSettings(table=table))
    assert data.targets == ["human_rating"] and "human_rating" not in data.benchmarks
    np.testing.assert_allclose(data.rating_errors, 0.1 / 1.959963984540054)
    assert (
        public_models(read_table(), PreferenceSettings())
        .notes[-1]
        .startswith("The public figures are few-shot")
    )


def test_what_the_table_cannot_carry_is_refused_before_a_run(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    pd.read_csv(ratings).head(2).to_csv(ratings, index=False)
    with pytest.raises(ValueError, match="2 models stand in both"):
        public_models(read_table(table), PreferenceSettings(table=table, ratings=ratings))
    with pytest.raises(
        ValueError, match=r"preference.rating='elo': .*public_models.csv has no such quantity; it has"
    ):
        public_models(read_table(), PreferenceSettings(rating="elo"))
    with pytest.raises(
        ValueError, match=r"preference.benchmarks=\['Chess'\]: .* has no such benchmark; it has"
    ):
        public_models(read_table(), PreferenceSettings(benchmarks=["MMLU", "Chess"]))
    pd.read_csv(table).assign(flat=0.5).to_csv(table, index=False)
    with pytest.raises(ValueError, match=r"preference.names=\['Chess'\]: .* has no such benchmark"):
        public_models(read_table(), PreferenceSettings(names={"chess": "Chess"}))
    with pytest.raises(ValueError, match=r"preference.leave_out=\['gpt-9'\]: .* has no such models"):
        public_models(read_table(), PreferenceSettings(leave_out=["gpt-9"]))
    with pytest.raises(ValueError, match=r"benchmark \['flat'\]: the same figure for all"):
        public_models(read_table(table), PreferenceSettings(table=table))


def test_a_rating_under_another_name_is_not_taken_for_a_benchmark(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    pd.read_csv(table).rename(columns={"human_rating": "elo"}).to_csv(table, index=False)
    with pytest.raises(ValueError, match=r"has no such quantity.*list preference.benchmarks"):
        public_models(read_table(table), PreferenceSettings(table=table, ratings=ratings))
    named = PreferenceSettings(table=table, ratings=ratings, benchmarks=["b0", "b1"])
    assert public_models(read_table(table), named).benchmarks == ["b0", "b1"]


def test_a_table_in_percent_is_refused() -> None:
    table = read_table()
    percent = replace(table, figures=replace(table.figures, values=table.figures.values * 100))
    with pytest.raises(ValueError, match=r"MMLU reaches 86.4, but acc of mmlu_test is a fraction"):
        with_run(RUN, percent, TWO)


def test_own_models_and_snapshots_are_forecast_and_never_learned_from() -> None:
    few, many = (
        joined(
            rows(*both("ours", 0.55, 0.8), *(cell for i in range(n) for cell in both(f"ours@{i}", 0.3, 0.3)))
        )
        for n in (0, 20)
    )
    one, other = (
        forecast_pair(part.own, "level-light", 0.9, part.public).rows.query("model == 'ours'")
        for part in (few, many)
    )
    np.testing.assert_allclose(one["predicted"], other["predicted"], rtol=1e-9)
    assert few.public.unrated == many.public.unrated != []
    named = joined(rows(*both("gpt-4-0314@10", 0.8, 0.9)))
    assert "gpt-4-0314" not in named.public.models and "gpt-4-0613" in named.public.models


def test_models_left_out_are_neither_rated_nor_learned_from() -> None:
    settings = TWO.model_copy(update={"leave_out": ["llama-2-7b-chat"]})
    found = joined(RUN, settings).public
    assert "llama-2-7b-chat" not in [*found.models, *found.unrated]


def test_dates_and_bare_models_of_the_table_are_kept_as_they_are(tmp_path: Path) -> None:
    table, _ = files(tmp_path)
    frame = pd.read_csv(table).assign(date=[f"2023-01-{i + 1:02d}" for i in range(16)])
    frame.loc[16] = {"model": "bare", "human_rating": 0.5}
    frame.to_csv(table, index=False)
    found = public_models(read_table(table), PreferenceSettings(table=table))
    assert dict(zip(found.models, found.dates, strict=True))["public-0"] == 19358
    assert any("without any of the benchmarks, left out: bare" in note for note in found.notes)


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
        joined(scores)


def test_repeated_and_incomplete_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows for model ours, task mmlu_test, metric acc"):
        joined(pd.concat([RUN, RUN.iloc[:1]]))
    with pytest.raises(ValueError, match=r"columns \['stderr'\] are missing"):
        joined(RUN.drop(columns="stderr"))


@pytest.mark.parametrize("task", ["mmlu_pro", "mmlu_dev", "mmlu_anatomy"])
def test_a_task_of_another_kind_is_not_taken_for_the_benchmark(task: str) -> None:
    scores = RUN.replace({"task": {"mmlu_test": task}})
    assert joined(scores).lacking == {"ours": ["MMLU"]}
    assert joined(scores, TWO.model_copy(update={"names": {task: "MMLU"}})).lacking == {"ours": []}


def test_two_tasks_for_one_benchmark_are_not_chosen_between_in_silence() -> None:
    found = joined(rows(*both("ours", 0.55, 0.8), ("ours", "mmlu", "acc", 0.6, 0.01)))
    assert found.lacking == {"ours": ["MMLU"]}
    assert any("['mmlu', 'mmlu_test'] all look like MMLU" in note for note in found.own.notes)


def test_the_published_metric_is_preferred_and_a_stand_in_or_unknown_noise_is_told() -> None:
    plain = RUN[~RUN["metric"].eq("acc_norm")].reset_index(drop=True)
    plain.loc[plain["task"] == "hellaswag_val", "value"] = 0.8
    found = joined(plain)
    np.testing.assert_array_equal(found.own.other_scores, joined(RUN).own.other_scores)
    assert any("task hellaswag_val gave only acc, used instead" in note for note in found.own.notes)
    unusable = RUN.assign(metric="bits_per_byte").drop(index=2).reset_index(drop=True)
    assert joined(unusable).lacking == {"ours": ["MMLU", "HellaSwag"]}
    unknown = joined(RUN.assign(stderr=float("nan")))
    assert any("No standard error of MMLU for ['ours']" in note for note in unknown.own.notes)
