"""Benchmark files are known by their fields, and their items split by content."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.benchmarks.items import Benchmark, dev_texts, item_text, read_items, split_dev_test, write_items

REAL = Path(__file__).resolve().parents[3] / "../shared/data/benchmarks"


def written(folder: Path, name: str, *rows: object) -> Path:
    path = folder / name
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def read_one(folder: Path, *rows: object) -> Benchmark:
    written(folder, "task.jsonl.gz", *rows)
    (benchmark,), warnings = read_benchmark_folder(folder)
    assert warnings == []
    assert benchmark.name == "task"
    return benchmark


def without_text(benchmark: Benchmark) -> dict:
    return {key: value for key, value in benchmark.items[0].items() if key not in ("id", "text")}


def test_question_with_choices_and_support_in_front(tmp_path: Path) -> None:
    benchmark = read_one(
        tmp_path,
        {
            "id": "q",
            "support": "Ice melts.",
            "question": "What melts?",
            "choices": ["fire", "ice"],
            "answer_idx": 1,
        },
    )
    assert benchmark.kind == "choice"
    assert without_text(benchmark) == {
        "context": "Ice melts.\n\nQuestion: What melts?\nAnswer:",
        "choices": [" fire", " ice"],
        "answer": 1,
    }
    assert item_text("choice", benchmark.items[0]) == "Ice melts. What melts? ice"


def test_context_is_continued_by_the_choices(tmp_path: Path) -> None:
    benchmark = read_one(
        tmp_path, {"context": "It rained.", "choices": ["We ran.", "We flew."], "answer_idx": 0}
    )
    assert without_text(benchmark)["choices"] == [" We ran.", " We flew."]
    assert item_text("choice", benchmark.items[0]) == "It rained. We ran."


def test_a_blank_in_every_sentence_makes_a_cloze_task(tmp_path: Path) -> None:
    row = {"sentence": "Ann beat Bea as _ was faster.", "choices": ["Ann", "Bea"], "answer_idx": 0}
    benchmark = read_one(tmp_path, row)
    assert benchmark.kind == "cloze"
    assert without_text(benchmark) == {
        "contexts": ["Ann beat Bea as Ann", "Ann beat Bea as Bea"],
        "continuation": " was faster.",
        "answer": 0,
    }


def test_a_blank_at_the_end_is_filled_by_the_choices(tmp_path: Path) -> None:
    benchmark = read_one(tmp_path, {"sentence": "The sky is _", "choices": ["blue", "wet"], "answer_idx": 0})
    assert benchmark.kind == "choice"
    assert without_text(benchmark) == {"context": "The sky is", "choices": [" blue", " wet"], "answer": 0}


@pytest.mark.parametrize(
    ("lang", "context", "choice"),
    [
        (None, "I was cold because", " it snowed."),
        ("en", "I was cold because", " it snowed."),
        ("et", "I was cold.", " It snowed."),
    ],
)
def test_cause_and_effect_are_joined_in_english_only(
    tmp_path: Path, lang: str | None, context: str, choice: str
) -> None:
    row = {
        "premise": "I was cold.",
        "question": "cause",
        "choices": ["It snowed.", "I ate."],
        "answer_idx": 0,
    }
    item = read_one(tmp_path, row | ({"lang": lang} if lang else {})).items[0]
    assert (item["context"], item["choices"][0]) == (context, choice)


def test_minimal_pairs_have_no_context_and_no_favoured_place(tmp_path: Path) -> None:
    rows = [{"sentence_good": f"They are {i}.", "sentence_bad": f"They is {i}."} for i in range(200)]
    benchmark = read_one(tmp_path, *rows)
    assert all(
        item["context"] == "" and item["choices"][item["answer"]] == item["text"] for item in benchmark.items
    )
    # Fair coin, 200 throws: standard deviation 7.
    assert 75 <= sum(item["answer"] for item in benchmark.items) <= 125


def test_boolean_answers_become_a_choice_and_others_a_text(tmp_path: Path) -> None:
    yes_no = read_one(tmp_path, {"passage": "Cats purr.", "question": "do cats purr", "answer": True})
    assert yes_no.kind == "choice"
    assert without_text(yes_no)["choices"] == [" yes", " no"]
    assert without_text(yes_no)["answer"] == 0
    number = read_one(tmp_path, {"question": "2 + 2?", "answer": 4})
    assert number.kind == "answer"
    assert number.items[0]["answers"] == [" 4"]
    aliased = read_one(tmp_path, {"question": "Capital?", "answer": "Rome", "aliases": ["Roma", "Rome"]})
    assert aliased.items[0]["answers"] == [" Rome", " Roma"]


def test_next_words(tmp_path: Path) -> None:
    benchmark = read_one(tmp_path, {"context": "He called for ", "target": "help"})
    assert without_text(benchmark) == {"context": "He called for", "answers": [" help"]}


def test_an_unknown_shape_is_skipped_and_the_fields_are_named(tmp_path: Path) -> None:
    written(tmp_path, "good.jsonl", {"question": "q", "answer": "a"})
    written(tmp_path, "odd.jsonl", {"prompt": "p", "tests": []})
    written(tmp_path, "empty.jsonl")
    benchmarks, warnings = read_benchmark_folder(tmp_path)
    assert [b.name for b in benchmarks] == ["good"]
    empty, odd = warnings
    assert empty == "empty.jsonl: skipped: it has no rows"
    assert odd.startswith(
        "odd.jsonl: skipped: its rows have no known shape; looked for: choices (list of strings) + "
    )
    for shape in (
        "sentence_good + sentence_bad (strings)",
        "question (string) + answer (string, number or boolean) without choices or options",
        "question (string) + canonical_solution (string) + tests (list of strings)",
    ):
        assert shape in odd
    assert odd.endswith("; found: prompt (string), tests (list)")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"question": "q", "choices": ["a", "b"], "answer": "A"}, "answer (string), choices (list)"),
        ({"question": "q", "choices": ["a", "b"], "answer": 1}, "answer (integer), choices (list)"),
        ({"question": "q", "options": {"A": "a"}, "answer": "A"}, "options (object)"),
        ({"question": "q", "choices": ["a", "b"], "answer_idx": "1"}, "answer_idx (string)"),
        ({"question": "q", "choices": {"text": ["a", "b"]}, "answer_idx": 0}, "choices (object)"),
        ({"question": "q", "answer": ["a", "b"]}, "answer (list), question (string)"),
        ({"question": ["q"], "answer": "a"}, "question (list)"),
        ({"context": "c", "target": None}, "target (null)"),
        ({"sentence_good": 1.5, "sentence_bad": "b"}, "sentence_good (number)"),
    ],
)
def test_fields_of_other_types_are_an_unknown_shape(tmp_path: Path, row: dict, found: str) -> None:
    written(tmp_path, "good.jsonl", {"question": "q", "answer": "a", "choices": None})
    written(tmp_path, "odd.jsonl", row, row)
    benchmarks, (warning,) = read_benchmark_folder(tmp_path)
    assert [b.name for b in benchmarks] == ["good"]
    assert warning.startswith("odd.jsonl: skipped: its rows have no known shape; looked for: ")
    assert found in warning.rsplit("found: ", 1)[1]


def test_a_broken_first_row_among_good_ones_is_an_error(tmp_path: Path) -> None:
    written(tmp_path, "task.jsonl", GOOD | {"answer_idx": "0"}, GOOD)
    with pytest.raises(ValueError, match=r'task\.jsonl:1: answer_idx is "0"; allowed: 0 to 1'):
        read_benchmark_folder(tmp_path)


def test_ids_that_repeat_or_cannot_be_written_are_replaced(tmp_path: Path) -> None:
    rows = [{"id": given, "question": f"q{i}", "answer": "a"} for i, given in enumerate(["x", "x", 1, "1"])]
    (tmp_path / "task.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, {"id": "\ud800", "question": "q", "answer": "a"}])
    )
    (benchmark,), _ = read_benchmark_folder(tmp_path)
    ids = [item["id"] for item in benchmark.items]
    assert len(set(ids)) == 5
    assert (ids[0], ids[2], ids[4]) == ("x", "1", "?")
    write_items(tmp_path / "items", benchmark.items)
    assert read_items(tmp_path / "items") == benchmark.items


GOOD = {"question": "q", "choices": ["a", "b"], "answer_idx": 0}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD | {"answer_idx": 2}, "answer_idx is 2; allowed: 0 to 1"),
        (GOOD | {"answer_idx": True}, "answer_idx is true"),
        (GOOD | {"answer_idx": "1"}, 'answer_idx is "1"; allowed: 0 to 1'),
        (GOOD | {"choices": []}, "choices is \\[\\]"),
        (GOOD | {"choices": ["a", 3]}, "choices is"),
        (GOOD | {"question": 7}, "question is 7; allowed: a string"),
        ({"question": "q", "answer": "a"}, "a row of shape question-answer in a file of shape choices"),
        ({"text": "t"}, "a row of shape unknown"),
    ],
)
def test_a_broken_row_is_named_by_file_and_line(tmp_path: Path, row: dict, message: str) -> None:
    written(tmp_path, "task.jsonl", GOOD, row)
    with pytest.raises(ValueError, match=rf"task\.jsonl:2: .*{message}"):
        read_benchmark_folder(tmp_path)


def test_folders_without_a_benchmark_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        read_benchmark_folder(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no benchmark"):
        read_benchmark_folder(tmp_path)
    written(tmp_path, "task.jsonl", GOOD)
    written(tmp_path, "task.jsonl.gz", GOOD)
    with pytest.raises(ValueError, match=r"task\.jsonl and task\.jsonl\.gz both get the name 'task'"):
        read_benchmark_folder(tmp_path)


def questions(numbers: range) -> list[dict]:
    return [{"id": f"row-{i}", "question": f"What is {i}?", "answer": str(i)} for i in numbers]


def test_adding_items_moves_none_between_dev_and_test(tmp_path: Path) -> None:
    few = split_dev_test(read_one(tmp_path, *questions(range(100, 300))), 0.3)
    many = split_dev_test(read_one(tmp_path, *reversed(questions(range(0, 400)))), 0.3)
    for side, wider in zip(few, many, strict=True):
        assert set(dev_texts(side)) <= set(dev_texts(wider))
    dev, test = many
    assert len(dev.items) + len(test.items) == 400
    assert not set(dev_texts(dev)) & set(dev_texts(test))
    # 400 draws at .3: mean 120, standard deviation 9.
    assert 85 <= len(dev.items) <= 155


def test_a_cap_keeps_the_same_items_and_does_not_favour_a_side(tmp_path: Path) -> None:
    written(tmp_path, "task.jsonl", *questions(range(1000)))
    (few,), _ = read_benchmark_folder(tmp_path, max_items=100)
    (more,), _ = read_benchmark_folder(tmp_path, max_items=200)
    assert len(few.items) == 100
    assert {item["id"] for item in few.items} <= {item["id"] for item in more.items}
    assert 12 <= len(split_dev_test(few, 0.3)[0].items) <= 48


def test_two_items_always_give_one_to_each_side_and_one_is_refused(tmp_path: Path) -> None:
    for pair in range(20):
        benchmark = read_one(tmp_path, *questions(range(2 * pair, 2 * pair + 2)))
        dev, test = split_dev_test(benchmark, 0.3)
        assert (len(dev.items), len(test.items)) == (1, 1)
    with pytest.raises(ValueError, match="has 1 different item"):
        split_dev_test(replace(benchmark, items=benchmark.items[:1]), 0.3)
    with pytest.raises(ValueError, match=r"dev_share is 1\.0"):
        split_dev_test(benchmark, 1.0)


def test_items_survive_the_disk(tmp_path: Path) -> None:
    items = read_one(tmp_path, {"question": "Où?", "answer": "là\n"}).items
    write_items(tmp_path / "items.out", items)
    assert read_items(tmp_path / "items.out") == items


def test_every_shape_of_the_real_folder_is_known() -> None:
    if not REAL.is_dir():
        pytest.skip(f"needs {REAL}")
    benchmarks, warnings = read_benchmark_folder(REAL)
    kinds = {benchmark.name: benchmark.kind for benchmark in benchmarks}
    assert kinds == {
        "arc_challenge_test": "choice",
        "arc_easy_test": "choice",
        "blimp": "choice",
        "boolq_val": "choice",
        "copa_val": "choice",
        "gsm8k_test": "answer",
        "hellaswag_val": "choice",
        "humaneval": "code",
        "lambada": "answer",
        "mbpp": "code",
        "mgsm": "answer",
        "mmlu_dev": "choice",
        "mmlu_test": "choice",
        "piqa_val": "choice",
        "sciq_val": "choice",
        "triviaqa": "answer",
        "winogrande_val": "cloze",
        "xcopa_test": "choice",
    }
    skipped = [warning.split(".jsonl")[0] for warning in warnings]
    assert skipped == ["prompts_mt_bench", "truthfulqa"]
