"""A run asks its models in many languages: planned with its cost, refused before anything is spent, on the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.experiment import walk
from flows.planning import plan_experiment
from flows.recipes import load_recipe
from storage.home import Home
from storage.unrecorded import UnrecordedRun
from tests.tasks.languages.conftest import TEMPLATES, made_rows, write_rows

TINY = str(Path(__file__).resolve().parents[1] / "tiny.yaml")


@pytest.fixture
def overrides(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    write_rows(tmp_path / "made.jsonl", made_rows())
    (tmp_path / "templates.yaml").write_text(TEMPLATES, encoding="utf-8")
    told = f"files: {tmp_path}/made.jsonl, templates: {tmp_path}/templates.yaml, shots: [0, 1], sets: 2"

    def given(also: str = "") -> list[str]:
        return [f"languages={{{told}{also}}}", "training.sequence_length=128"]

    return given


def test_the_plan_tells_what_asking_every_model_costs(overrides):
    """k = 0: 2 templates x 3 languages; k = 1: 2 templates x 2 sets x 5; of 6 items with 2 choices each."""
    plan = plan_experiment(load_recipe(TINY, overrides()))
    rows = [row for row in plan["stages"] if row["stage"] == "languages"]
    assert [row["name"] for row in rows] == ["seed", "docs", "math", "soup", "stitched"]
    assert {row["requests"] for row in rows} == {(6 + 2 * 2 * 5) * 6 * 2}
    assert all(row["read"] > 0 and row["flops"] > 0 for row in rows)


def test_a_file_that_has_changed_is_read_again(overrides, tmp_path):
    def texts() -> set[float]:
        plan = plan_experiment(load_recipe(TINY, overrides()))
        return {row["requests"] for row in plan["stages"] if row["stage"] == "languages"}

    before = texts()
    write_rows(tmp_path / "made.jsonl", made_rows(items=16))
    assert texts() == {before.pop() / 6 * 8}


@pytest.mark.parametrize(
    ("also", "said"),
    [
        (", models: [chat]", "languages.models: no chat; allowed: seed, docs, math"),
        (", most_texts: 10", "allowed: at most most_texts=10"),
        (", test_languages: [th]", "test_languages: th: not in"),
        (", demonstration_share: 0.05", "1 demonstrations in 'en' are as many as the shots, so 2 sets"),
    ],
)
def test_what_is_wrong_is_refused_by_the_plan(overrides, also, said):
    with pytest.raises(ValueError, match=said):
        plan_experiment(load_recipe(TINY, overrides(also)))


def test_a_duel_asks_no_cube(overrides):
    with pytest.raises(ValueError, match="languages with duel"):
        load_recipe(TINY, [*overrides(), "duel={}"])


@pytest.mark.slow
def test_a_run_shows_the_maps_on_its_page(overrides):
    given = [*overrides(", models: [seed, stitched]"), "budget.tokens=24000", "sources.listed.1.language=en"]
    home = Home.from_environment()
    walk(UnrecordedRun(home), load_recipe(TINY, given))
    (report,) = home.artifacts.glob("report/*/report.html")
    page = report.read_text(encoding="utf-8")
    assert 'id="languages"' in page and "Transfer gaps" in page and "By language" in page
