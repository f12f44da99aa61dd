"""Models on their way and ratings by rule: counted everywhere, shown apart, left out with their own snapshots."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.artifact import Artifact
from tasks.preference.settings import PreferenceSettings
from tasks.preference.study import LEVEL, Study, study
from tasks.report.page import ReportData, page_context, write_page
from tasks.report.preference_tables import category_rows, lacking, left_out_rows, study_view
from tests.tasks.preference.tables_at_hand import leveled, paired
from tests.tasks.report.conftest import made_study, make_artifact

FAMILIES = ("seed", "coder", "writer", "stitched")
BY_FAMILY = "each forecast from the others: a model is left out with all its snapshots"


@pytest.fixture(scope="module")
def of_snapshots() -> Study:
    """Four models with two snapshots each, rated in two categories."""
    names = [f"{model}{step}" for model in FAMILIES for step in ("", "@4", "@8")]
    scores, ratings = leveled(0, len(names), 4, 2)
    data = paired(scores, ratings, families=[name.partition("@")[0] for name in names])
    about = {"unit": "share of comparisons won by rule", "origin": "programmatic"}
    return study(
        dataclasses.replace(data, models=names), PreferenceSettings(method="ridge", permutations=99), about
    )


def programmatic(folder: Path, found: Study | None) -> Artifact:
    rows = [
        {"model": name, "category": "code", "rating": 0.5, "low": 0.4, "high": 0.625}
        for name in ("seed", "seed@4")
    ]
    facts = {
        "ratings": rows,
        "items_by_category": {"code": 17},
        "studied": found is not None,
        "notes": ["No study: too few."],
    }
    artifact = make_artifact(folder, "programmatic", "", facts)
    if found is not None:
        found.save(artifact.path)
    return artifact


def page_of(data: ReportData, folder: Path) -> str:
    write_page(data, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


def test_ratings_by_rule_are_shown_with_their_study(
    make_run: Callable[..., ReportData], tmp_path: Path, of_snapshots: Study
) -> None:
    data = dataclasses.replace(make_run(), programmatic=programmatic(tmp_path, of_snapshots))
    page = page_of(data, tmp_path)
    assert "nobody was asked" in page and "17 items" in page and "seed@4" in page
    assert page.count(BY_FAMILY) == 1 and page.count("public models, each forecast from the others<") == 1
    assert "No study: too few." not in page
    assert "The rating: Elo." in page  # of a table that names no source
    assert f"holds at {LEVEL:g}".replace("0.", ".") in page and "fell back to a baseline" in page


def test_without_a_study_the_notes_say_why(make_run: Callable[..., ReportData], tmp_path: Path) -> None:
    data = dataclasses.replace(make_run(), programmatic=programmatic(tmp_path, None))
    page = page_of(data, tmp_path)
    assert "nobody was asked" in page and "No study: too few." in page
    assert BY_FAMILY not in page
    assert "nobody was asked" not in page_of(dataclasses.replace(data, programmatic=None), tmp_path)


def test_a_model_is_left_out_with_all_its_snapshots(of_snapshots: Study) -> None:
    view = study_view(of_snapshots)
    by_family = of_snapshots.left_out[of_snapshots.left_out["scheme"] == "leave-one-family-out"]
    by_model = of_snapshots.left_out[of_snapshots.left_out["scheme"] == "leave-one-model-out"]
    assert view["left_out"] == left_out_rows(by_family) != left_out_rows(by_model)
    assert view["by_category"] == category_rows(of_snapshots, "leave-one-family-out")
    assert view["by_category"] != category_rows(of_snapshots, "leave-one-model-out")
    assert view["forecast_from"] in BY_FAMILY


def test_too_few_families_are_said_to_see_their_own_snapshots(of_snapshots: Study) -> None:
    alone = of_snapshots.left_out[of_snapshots.left_out["scheme"] == "leave-one-model-out"]
    view = study_view(dataclasses.replace(of_snapshots, left_out=alone))
    assert view["forecast_from"] == "the others, its own snapshots among them"
    assert len(view["left_out"]) == len(alone)


def test_snapshots_and_responses_count_in_totals_and_provenance_only(
    make_run: Callable[..., ReportData], tmp_path: Path
) -> None:
    plain = make_run()
    snapshots = {"seed@4": make_artifact(tmp_path, "evaluation", "seed@4", {"scores": []})}
    responses = {name: make_artifact(tmp_path, "responses", name, {}) for name in ("seed", "seed@4")}
    data = dataclasses.replace(plain, snapshots=snapshots, responses=responses)
    assert len(data.artifacts) == len(plain.artifacts) + 3
    before, after = page_context(plain), page_context(data)
    assert after["models"] == before["models"] and after["benchmark_rows"] == before["benchmark_rows"]
    assert len(after["keys"]) == len(before["keys"]) + 3 == len(after["stages"])
    assert ("responses", 2) in [(step.name, step.times) for step in after["chain"]]
    page = page_of(data, tmp_path)
    assert f"All {len(data.artifacts)} results" in page and f"all {len(data.artifacts)} results" in page


def test_forecasts_of_snapshots_are_counted_and_not_shown() -> None:
    found = made_study(("seed", "seed@4", "seed@8"))
    lacks = {"lacking": {"soup": ["MMLU"], "soup@2": ["MMLU"]}}
    found = dataclasses.replace(found, about=found.about | lacks)
    view = study_view(found)
    assert view["forecast_models"] == [row["model"] for row in view["reach"]] == ["seed"]
    assert all(len(row["cells"]) == 1 for row in view["forecasts"])
    assert view["snapshots_forecast"] == 2
    assert lacking(found) == [("soup", "MMLU")]
    alone = study_view(made_study(("seed@4", "seed@8")))
    assert (alone["forecast_models"], alone["snapshots_forecast"]) == (["seed@4", "seed@8"], 0)
