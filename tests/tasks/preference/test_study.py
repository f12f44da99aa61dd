"""The stage and its study: evidence beside the forecast, kept in a folder, and what is no evidence refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from storage.home import Home
from storage.planned import PlannedRun
from storage.stages import Stage
from storage.unrecorded import UnrecordedRun
from tasks.preference.public_table import BUNDLED, read_table
from tasks.preference.run_models import public_models
from tasks.preference.settings import PreferenceSettings, ProgrammaticSettings
from tasks.preference.study import FRAMES, Study, study
from tasks.preference.task import check_preference, forecast_preference
from tests.tasks.preference.tables_at_hand import leveled, paired
from tests.tasks.preference.test_run_models import NAMES, files

FAST: dict[str, Any] = {"permutations": 99, "method": "ridge"}
SCORES = [
    {"model": "seed", "task": "mmlu_test", "metric": "acc", "value": 0.3, "stderr": 0.01},
    {"model": "stitched", "task": "mmlu_test", "metric": "acc", "value": 0.6, "stderr": 0.01},
    {"model": "stitched", "task": "hellaswag_val", "metric": "acc", "value": 0.6, "stderr": 0.01},
    {"model": "other", "task": "chess", "metric": "acc", "value": 0.6, "stderr": 0.01},
]


class PlainRun(UnrecordedRun):
    """Keeps what a stage asks for, and builds it into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stage(self, stage: Stage) -> Any:
        self.folder.mkdir(exist_ok=True)
        self.asked = {name: getattr(stage, name) for name in ("name", "version", "identity", "inputs")}
        return SimpleNamespace(facts=json.loads(json.dumps(stage.build(self.folder))))


def staged(folder: Path, settings: PreferenceSettings) -> tuple[PlainRun, Any]:
    run = PlainRun(folder)
    scores = {"seed": SimpleNamespace(digest="d1", facts={"scores": SCORES})}
    return run, forecast_preference.fn(run, settings, scores)


def test_without_ratings_by_category_the_table_s_rating_is_forecast(tmp_path: Path) -> None:
    table, _ = files(tmp_path)
    settings = PreferenceSettings(table=table, benchmarks=["b0"], names={"mmlu_test": "b0"}, **FAST)
    run, artifact = staged(tmp_path / "out", settings)
    other, seed, stitched = artifact.facts["forecast"]
    assert (other["model"], other["rating"], other["missing"]) == ("other", None, ["b0"])
    assert seed["target"] == stitched["target"] == "human_rating"
    assert 0.2 < seed["low"] < seed["rating"] < seed["high"] < stitched["rating"]
    assert set(run.asked["inputs"]) == {"scores seed", "table"}
    found = Study.load(tmp_path / "out")
    assert found.rows["model"].tolist() == ["seed", "stitched"]
    assert found.about["lacking"] == {"other": ["b0"], "seed": [], "stitched": []}
    assert str(tmp_path) not in json.dumps(found.about["table"])


def test_a_run_without_a_benchmark_of_the_table_is_not_studied_and_says_why(tmp_path: Path) -> None:
    table, _ = files(tmp_path)
    settings = PreferenceSettings(table=table, benchmarks=["b0"], **FAST)
    _, artifact = staged(tmp_path / "out", settings)
    why = "the study was left out: no task of the run is a benchmark of public.csv (b0)"
    assert artifact.facts["left_out"] == why
    assert {(row["rating"], tuple(row["missing"])) for row in artifact.facts["forecast"]} == {(None, ("b0",))}
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("tasks", "seconds"), [(["chess"], 0.0), (["chess", "b0"], 10.0), (None, 10.0)])
def test_a_plan_prices_the_study_only_where_a_task_may_be_a_benchmark(
    tmp_path: Path, home: Home, tasks: list[str] | None, seconds: float
) -> None:
    table, _ = files(tmp_path)
    settings = PreferenceSettings(table=table, benchmarks=["b0"], **FAST)
    run = PlannedRun(home)
    forecast_preference.fn(run, settings, {}, tasks)
    assert run.stages[0].cost.seconds == seconds
    assert ("left out" in run.bases()[0]) == (seconds == 0)


def test_with_ratings_every_model_has_a_profile_with_intervals(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    settings = PreferenceSettings(table=table, ratings=ratings, names=NAMES, **FAST)
    run, artifact = staged(tmp_path / "out", settings)
    profile = {(row["model"], row["target"]): row for row in artifact.facts["forecast"] if row["target"]}
    assert set(profile) == {(model, target) for model in ("seed", "stitched") for target in ("math", "chat")}
    for row in profile.values():
        assert row["low"] <= row["rating"] <= row["high"]
    assert profile["stitched", "math"]["rating"] > profile["seed", "math"]["rating"]
    assert "ratings" in run.asked["inputs"]
    assert str(tmp_path) not in json.dumps(run.asked["identity"])


def test_programmatic_ratings_are_no_part_of_what_this_stage_is(tmp_path: Path) -> None:
    table, _ = files(tmp_path)
    plain = PreferenceSettings(table=table, names=NAMES, **FAST)
    with_rules = PreferenceSettings(table=table, names=NAMES, programmatic=ProgrammaticSettings(), **FAST)
    (one, _), (other, _) = (
        staged(tmp_path / str(number), settings) for number, settings in enumerate((plain, with_rules))
    )
    assert one.asked == other.asked


def test_bad_ratings_are_told_before_anything_is_trained(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    check_preference(PreferenceSettings(table=table, ratings=ratings))
    ratings.write_text("model,math\npublic-1,fine\npublic-2,3\n", encoding="utf-8")
    with pytest.raises(ValueError, match="'fine' is not a finite number"):
        check_preference(PreferenceSettings(table=table, ratings=ratings))
    with pytest.raises(ValueError, match="no such file"):
        check_preference(PreferenceSettings(table=table, ratings=tmp_path / "none.csv"))


def test_the_evidence_stands_beside_its_baselines_and_comes_back_from_its_folder(tmp_path: Path) -> None:
    scores, ratings = leveled(0, 15, 4, 2)
    families = [f"f{i // 2}" for i in range(15)]
    found = study(
        paired(scores, ratings, families, others=scores[:2]), PreferenceSettings(**FAST), {"mark": 1}
    )
    told = found.validation.set_index(["scheme", "method", "target"])
    for scheme in ("leave-one-model-out", "leave-one-family-out"):
        assert {m for s, m, _ in told.index if s == scheme} == {"ridge", "mean", "single", "log-params"}
        part = found.left_out[(found.left_out["scheme"] == scheme) & (found.left_out["target"] == "t0")]
        error = np.sqrt(((part["predicted"] - part["truth"]) ** 2).mean())
        assert told.loc[(scheme, "ridge", "t0"), "rmse"] == pytest.approx(error)
    assert len(found.pairs) == 4 * 2 * 3 * 2
    assert found.about["mark"] == 1
    assert any(claim.startswith("Refused: ") for claim in found.refused)
    found.save(tmp_path)
    again = Study.load(tmp_path)
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(found, name), check_dtype=False)
    assert (again.refused, again.notes) == (found.refused, found.notes)


def test_rated_models_alone_still_give_the_evidence(tmp_path: Path) -> None:
    scores, ratings = leveled(1, 8, 3, 1)
    found = study(paired(scores, ratings), PreferenceSettings(**FAST), {})
    found.save(tmp_path)
    assert Study.load(tmp_path).rows.empty
    assert any("90% intervals cover 90%" in claim for claim in found.refused)
    assert not np.isfinite(found.left_out["high"]).any()


def test_order_of_the_table_s_rows_changes_nothing(tmp_path: Path) -> None:
    head, *lines = BUNDLED.read_text(encoding="utf-8").splitlines()
    np.random.default_rng(3).shuffle(lines)
    path = tmp_path / "public_models.csv"
    path.write_text("\n".join([head, *lines]), encoding="utf-8")
    one, other = (
        study(public_models(read_table(p), PreferenceSettings()), PreferenceSettings(**FAST), {}).validation
        for p in (BUNDLED, path)
    )
    order = ["scheme", "method"]
    pd.testing.assert_frame_equal(
        one.sort_values(order, ignore_index=True), other.sort_values(order, ignore_index=True)
    )


def test_naming_the_stage_loads_no_numerical_library() -> None:
    code = (
        "import sys, tasks.preference.settings as p; p.PreferenceSettings();"
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


def test_every_method_of_the_engine_may_be_set() -> None:
    from typing import get_args

    from tasks.preference.engine.predicting import METHODS
    from tasks.preference.settings import Method

    assert set(get_args(Method)) == set(METHODS) - {
        "log-params"
    }  # parameters of the run's models are not known
