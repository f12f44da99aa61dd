"""Two runs compared: paired over items by hand, nothing against itself, and items that are not the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from storage.home import Home
from storage.run_records import find_record
from storage.runs import Run
from storage.stages import Stage
from tasks.report.run_comparison import compare_runs
from tests.storage.recorded import make_run

FIRST = {"quiz": [1, 1, 0, 0, 1, 0, 1, 1], "exam": [1, 0, 0, 1]}
SECOND = {"quiz": [1, 1, 1, 0, 1, 1, 1, 1], "exam": [1, 0, 0, 1]}


def scored_run(home: Home, values: dict[str, list[int]], answers: str = "", number: int = 0) -> dict:
    """The record of a run whose seed was scored on each task's items, right (1) or wrong (0)."""
    rows = [
        {"model": "seed", "task": task, "metric": "acc", "value": np.mean(v), "stderr": 0.2, "n": len(v)}
        for task, v in values.items()
    ]

    def build(folder: Path) -> dict[str, Any]:
        items = [
            {"model": "seed", "task": task, "item": str(i), "metric": "acc", "value": float(right)}
            | {"prediction": "", "target": f"{answers}{i}", "outputs": "[]"}
            for task, v in values.items()
            for i, right in enumerate(v)
        ]
        pd.DataFrame(items).to_parquet(folder / "samples.parquet")
        return {"scores": rows}

    run = Run(home, "trial", {})
    run.stage(Stage("evaluation", 1, {"number": number}, {}, build, "seed"))
    run.finish("completed")
    return find_record(home, run.run_id)


def test_differences_are_paired_over_the_items_of_both_runs(home: Home) -> None:
    found = compare_runs(home, scored_run(home, FIRST), scored_run(home, SECOND, number=1))
    quiz, exam = found["scores"]
    # Two of eight items were won: differences 1, 1, 0 x 6 about their mean .25, so sqrt(1.5 / 7 / 8).
    assert (quiz["difference"], quiz["n"], quiz["paired"]) == (pytest.approx(0.25), 8, True)
    assert quiz["stderr"] == pytest.approx(math.sqrt(1.5 / 7 / 8))
    assert quiz["stderr"] < math.hypot(0.2, 0.2)
    # No item of the exam tells the models apart, which does not make them the same.
    assert exam["difference"] == 0 and exam["stderr"] == pytest.approx(math.sqrt(0.5 / 5 / 4))
    (mean,) = found["means"]
    assert (mean["difference"], mean["benchmarks"]) == (pytest.approx(0.125), 2)
    half = 1.959964 * math.sqrt(1.5 / 7 / 8) / 2
    assert (mean["low"], mean["high"]) == (pytest.approx(0.125 - half), pytest.approx(0.125 + half))
    assert "0 of 2 scores differ beyond chance" in found["summary"][0]
    assert "seed: mean difference in acc over 2 tasks 0.1250 [" in found["summary"][1]


def test_a_run_against_itself_is_nothing_without_error(home: Home) -> None:
    record = scored_run(home, FIRST)
    found = compare_runs(home, record, record)
    assert {(row["difference"], row["stderr"]) for row in found["scores"]} == {(0.0, 0.0)}
    assert (found["means"][0]["low"], found["means"][0]["high"]) == (0, 0)
    made = find_record(home, make_run(home).run_id)
    assert [(row["difference"], row["stderr"]) for row in compare_runs(home, made, made)["scores"]] == [
        (0, 0)
    ]


def test_items_of_one_name_with_other_answers_are_not_paired(home: Home) -> None:
    found = compare_runs(home, scored_run(home, FIRST), scored_run(home, SECOND, "other ", 1))
    assert [row["paired"] for row in found["scores"]] == [False, False]
    assert found["scores"][0]["stderr"] == pytest.approx(math.hypot(0.2, 0.2))
    assert "not all paired" in found["summary"][1]


def test_what_differs_on_every_item_is_beyond_chance(home: Home) -> None:
    worse = {"quiz": [0] * 60}
    better = {"quiz": [1] * 50 + [0] * 10}
    found = compare_runs(home, scored_run(home, worse), scored_run(home, better, number=1))
    assert found["scores"][0]["beyond_chance"] is True
    assert "1 of 1 score differ" in found["summary"][0] and "better on 1, worse on 0" in found["summary"][0]


def test_runs_without_a_score_in_common_say_so(home: Home) -> None:
    found = compare_runs(home, scored_run(home, FIRST), scored_run(home, {"other": [1, 0]}, number=1))
    assert found["scores"] == [] and found["summary"] == [
        "No model was scored on the same benchmark in both runs."
    ]
