"""The stage: what it builds, what its identity is, and a profile by category where ratings are given."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.preference import Forecast, PreferenceSettings
from tasks.preference.task import check_preference, forecast_preference
from tests.tasks.preference.test_preference_profile import NAMES, files

FAST: dict[str, Any] = {"permutations": 99, "bootstraps": 100}
SCORES = [
    {"model": "seed", "task": "mmlu_test", "metric": "acc", "value": 0.3, "stderr": 0.01},
    {"model": "stitched", "task": "mmlu_test", "metric": "acc", "value": 0.6, "stderr": 0.01},
    {"model": "stitched", "task": "hellaswag_val", "metric": "acc", "value": 0.6, "stderr": 0.01},
]


class PlainRun:
    """Keeps what a stage asks for, and builds it into a folder."""

    uses_prefect = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stage(self, name: str, version: int, identity: dict, inputs: dict, build: Any) -> Any:
        self.folder.mkdir(exist_ok=True)
        self.asked = {"name": name, "version": version, "identity": identity, "inputs": inputs}
        return SimpleNamespace(facts=json.loads(json.dumps(build(self.folder))))

    def log_series(self, *_: Any) -> None:
        return None


def staged(folder: Path, settings: PreferenceSettings) -> tuple[PlainRun, Any]:
    run = PlainRun(folder)
    scores = {"seed": SimpleNamespace(digest="d1", facts={"scores": SCORES})}
    return run, forecast_preference.fn(run, settings, scores)


def test_without_ratings_by_category_the_stage_is_as_it_was(tmp_path: Path) -> None:
    table, _ = files(tmp_path)
    settings = PreferenceSettings(table=table, benchmarks=["b0"], names={"mmlu_test": "b0"}, **FAST)
    run, artifact = staged(tmp_path / "out", settings)
    assert set(artifact.facts) == {"forecast", "notes"}
    assert [row["model"] for row in artifact.facts["forecast"]] == ["seed", "stitched"]
    assert set(run.asked["inputs"]) == {"seed", "table"}
    assert Forecast.load(tmp_path / "out").rows["model"].tolist() == ["seed", "stitched"]


def test_with_ratings_every_model_has_a_profile_with_intervals(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    settings = PreferenceSettings(table=table, ratings=ratings, names=NAMES, **FAST)
    run, artifact = staged(tmp_path / "out", settings)
    profile = {(row["model"], row["target"]): row for row in artifact.facts["profile"]}
    assert set(profile) == {(model, target) for model in ("seed", "stitched") for target in ("math", "chat")}
    for row in profile.values():
        assert row["low"] <= row["predicted"] <= row["high"]
    assert profile["stitched", "math"]["predicted"] > profile["seed", "math"]["predicted"]
    kept = json.loads((tmp_path / "out" / "profile.json").read_text(encoding="utf-8"))
    assert kept["forecast"] == artifact.facts["profile"]
    assert "ratings" in run.asked["inputs"]
    assert str(tmp_path) not in json.dumps(run.asked["identity"])


def test_bad_ratings_are_told_before_anything_is_trained(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    check_preference(PreferenceSettings(table=table, ratings=ratings))
    ratings.write_text("model,math\npublic-1,fine\n", encoding="utf-8")
    with pytest.raises(ValueError, match="'fine' is not a finite number"):
        check_preference(PreferenceSettings(table=table, ratings=ratings))
    with pytest.raises(ValueError, match="no such file"):
        check_preference(PreferenceSettings(table=table, ratings=tmp_path / "none.csv"))
