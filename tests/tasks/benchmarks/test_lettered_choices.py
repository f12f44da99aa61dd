"""Rows whose choices stand in fields of their own, as tables of exam questions have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.benchmarks.items import Benchmark, item_text, requests_of

ROW = {"question": "What melts?", "A": "fire", "B": "ice", "C": "wind", "D": "sand", "answer": "B"}


def read(folder: Path, *rows: dict) -> Benchmark:
    (folder / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (benchmark,), warnings = read_benchmark_folder(folder)
    assert warnings == []
    return benchmark


@pytest.mark.parametrize("answer", ["B", "b", " B ", "ice"])
def test_the_answer_is_a_letter_or_a_text(tmp_path: Path, answer: str) -> None:
    benchmark = read(tmp_path, ROW | {"answer": answer, "support": "Heat."})
    (item,) = benchmark.items
    assert (benchmark.kind, benchmark.metric) == ("choice", "acc")
    assert item["context"] == "Heat.\n\nQuestion: What melts?\nAnswer:"
    assert (item["choices"], item["answer"]) == ([" fire", " ice", " wind", " sand"], 1)
    assert item_text("choice", item) == "Heat. What melts? ice"


def test_rows_may_have_two_to_ten_choices_each(tmp_path: Path) -> None:
    ten = {letter: f"text {letter}" for letter in "ABCDEFGHIJ"}
    benchmark = read(
        tmp_path,
        {"question": "q1", "A": "yes", "B": "no", "C": None, "answer": "A"},
        {"question": "q2", **ten, "answer": "j"},
    )
    assert [len(item["choices"]) for item in benchmark.items] == [2, 10]
    assert [item["answer"] for item in benchmark.items] == [0, 9]
    assert requests_of(benchmark)[0] == 12


def test_the_letter_of_a_choice_with_that_very_text_is_no_ambiguity(tmp_path: Path) -> None:
    assert read(tmp_path, {"question": "Which?", "A": "A", "B": "C", "answer": "A"}).items[0]["answer"] == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ROW | {"answer": "E"},
            'answer is "E"; allowed: a letter from A to D, or the text of exactly one choice',
        ),
        (ROW | {"answer": 1}, "answer is 1; allowed: a letter from A to D"),
        (ROW | {"answer": True}, "answer is true; allowed: a letter from A to D"),
        (ROW | {"answer": "Ice"}, 'answer is "Ice"; allowed'),
        (ROW | {"answer": "sand", "A": "sand"}, 'answer is "sand", which fits A and D; allowed'),
        (ROW | {"A": "B"}, 'answer is "B", which fits A and B; allowed'),
        (ROW | {"C": None}, "choices are A, B, D; allowed: A, B and so on to J, without gaps"),
        ({"question": "q", "A": "a", "answer": "A"}, "choices are A; allowed"),
        ({"question": "q", "answer": "A"}, "choices are none; allowed"),
        (ROW | {"D": " "}, 'D is " "; allowed: a string with text'),
        (ROW | {"D": 4}, "D is 4; allowed: a string with text"),
        (ROW | {"question": " "}, "question is empty"),
    ],
)
def test_a_row_that_leaves_open_what_is_right_is_refused(tmp_path: Path, row: dict, message: str) -> None:
    with pytest.raises(ValueError, match=rf"exam\.jsonl:2: {message}"):
        read(tmp_path, ROW, row)


def test_questions_without_choices_are_open_as_before(tmp_path: Path) -> None:
    assert read(tmp_path, {"question": "Grade?", "A": "best", "answer": "A"}).kind == "answer"
