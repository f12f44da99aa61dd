"""Questions whose choices stand in numbered fields are choices, and never open questions for a letter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.benchmarks.items import Benchmark


def read(folder: Path, *rows: dict) -> Benchmark:
    (folder / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (benchmark,), warnings = read_benchmark_folder(folder)
    assert warnings == []
    return benchmark


def row(names: list[str], answer: object) -> dict:
    return {
        "question": "What melts?",
        **dict(zip(names, ["fire", "ice", "wind"], strict=True)),
        "answer": answer,
    }


@pytest.mark.parametrize(
    ("names", "answers"),
    [
        (["option#1", "option#2", "option#3"], ["2", 2, "option#2", "ice", "B", "02"]),
        (["choice1", "choice2", "choice3"], ["2", 2, "choice2", "ice"]),
        (["option_0", "option_1", "option_2"], ["1", 1, "option_1", "ice"]),
        (["option_a", "option_b", "option_c"], ["b", "B", "option_b"]),
        (["opa", "opb", "opc"], ["b", "ice"]),
        (["answerA", "answerB", "answerC"], ["B", "answerB"]),
        (["a", "b", "c"], ["b", "B"]),
    ],
)
def test_the_right_choice_is_told_by_number_field_or_text(
    tmp_path: Path, names: list[str], answers: list[object]
) -> None:
    for answer in answers:
        benchmark = read(tmp_path, row(names, answer))
        (item,) = benchmark.items
        assert (benchmark.kind, item["choices"], item["answer"]) == ("choice", [" fire", " ice", " wind"], 1)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            row(["option1", "option2", "option3"], 0),
            "answer is 0; allowed: 1, 2, 3, one of option1, option2, option3",
        ),
        (
            row(["option1", "option2", "option4"], 1),
            "choices are option1, option2, option4; allowed: numbered without",
        ),
        (row(["option1", "option2", "option3"], True), "answer is true; allowed"),
        (
            row(["option1", "option2", "option3"], "fire") | {"option3": "fire"},
            "which fits option1 and option3",
        ),
        (
            row(["option1", "option2", "option3"], 1) | {"option2": ""},
            'option2 is ""; allowed: a string with text',
        ),
        (
            row(["option1", "option2", "option3"], 1) | {"choice1": "x", "choice2": "y"},
            "choices of two kinds",
        ),
        ({"question": "q", "answer": "1"}, "it has no choices, as other rows have"),
    ],
)
def test_a_row_that_leaves_open_what_is_right_is_refused(tmp_path: Path, broken: dict, message: str) -> None:
    with pytest.raises(ValueError, match=rf"exam\.jsonl:2: .*{message}"):
        read(tmp_path, row(["option1", "option2", "option3"], 1), broken)


@pytest.mark.parametrize(
    "field", ["candidates", "distractors", "distractor1", "incorrect_answers", "options"]
)
def test_a_question_with_choices_of_another_shape_is_skipped_and_said(tmp_path: Path, field: str) -> None:
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"question": "q", field: ["x"], "answer": "B"}), encoding="utf-8"
    )
    (tmp_path / "b.jsonl").write_text(json.dumps({"question": "q", "answer": "B"}), encoding="utf-8")
    found, warnings = read_benchmark_folder(tmp_path)
    assert [benchmark.name for benchmark in found] == ["b"]
    assert len(warnings) == 1 and warnings[0].startswith("a.jsonl: skipped")


def test_a_single_lettered_field_makes_no_choice(tmp_path: Path) -> None:
    assert read(tmp_path, {"question": "q", "a": "x", "answer": "y"}).kind == "answer"
