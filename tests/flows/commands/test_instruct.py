"""`mixstitch instruct`: a collection mixed and certified through the commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands.app import app
from tasks.chat.dialogue_lines import read_dialogues

SENTENCE = "the quick brown fox number {i} jumps over a lazy dog that sleeps near the river bank today"


def invoked(*arguments: str):
    return CliRunner().invoke(app, ["instruct", *map(str, arguments)])


def write(folder: Path, name: str, rows: list[dict]) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def asked(prompt: str, response: str = "fine", **more) -> dict:
    return {"prompt": prompt, "response": response, **more}


@pytest.fixture
def taught(tmp_path) -> Path:
    folder = tmp_path / "taught"
    write(folder, "qa/large.jsonl", [asked(f"large question {i}") for i in range(300)])
    write(folder, "qa/small.jsonl", [asked(f"small question {i}", template=f"t{i % 2}") for i in range(20)])
    write(folder, "text/rewrite.jsonl", [asked(SENTENCE.format(i=i), f"rewritten {i}") for i in range(30)])
    return folder


def test_a_mix_has_exact_counts_and_goes_on_from_any_place(taught, tmp_path):
    groups = ("-o", "size_cap=100", "-o", "groups={qa: [large, small], text: [rewrite]}")
    given = (
        "--train",
        taught,
        "--size",
        "120",
        *groups,
        "-o",
        "group_shares={qa: 3, text: 1}",
        "--shots",
        "3",
    )
    done = invoked("mix", *given, "--out", tmp_path / "mix.jsonl", "--json")
    assert done.exit_code == 0, done.output
    drawn = {row["task"]: row["drawn"] for row in json.loads(done.stdout)["tasks"]}
    assert drawn == {"large": 75, "rewrite": 30, "small": 15}  # 90 of qa by 100 to 20
    assert invoked("mix", *given, "--start", "50", "--out", tmp_path / "rest.jsonl").exit_code == 0
    whole, rest = (
        (tmp_path / f"{n}.jsonl").read_text(encoding="utf-8").splitlines() for n in ("mix", "rest")
    )
    assert len(whole) == 120 and rest == whole[50:]
    rows = [json.loads(line) for line in whole]
    assert {row["demonstrations"] for row in rows} == {0, 1, 2, 3}
    for row in rows:
        assert len(row["messages"]) == 2 * (1 + row["demonstrations"])
        assert (
            len({m["content"] for m in row["messages"] if m["role"] == "user"}) == 1 + row["demonstrations"]
        )


def test_levels_are_derived_and_what_leaked_is_found(taught, tmp_path):
    tested = tmp_path / "tested"
    write(tested, "qa/small.jsonl", [asked(f"small thing {i} that nobody taught") for i in range(20)])
    write(tested, "qa/other.jsonl", [asked(f"other {i} of them", "yes") for i in range(20)])
    write(tested, "logic/puzzle.jsonl", [asked(f"puzzle {i} of many", "no") for i in range(20)])
    done = invoked("certify", "--train", taught, "--test", tested, "--json")
    assert done.exit_code == 0, done.output
    levels = {row["task"]: row["level"] for row in json.loads(done.stdout)["tasks"]}
    assert levels == {"small": "held-out instance", "other": "held-out task", "puzzle": "held-out category"}

    write(tested, "logic/hidden.jsonl", [asked("Please repeat: " + SENTENCE.format(i=i)) for i in range(10)])
    done = invoked("certify", "--train", taught, "--test", tested, "--json")
    assert done.exit_code == 1
    (row,) = [row for row in json.loads(done.stdout)["tasks"] if row["level"] == "leaked"]
    assert (row["task"], row["overlapping"], row["most_with"], row["items_with_it"]) == (
        "hidden",
        10,
        "rewrite",
        10,
    )


def test_the_words_of_a_template_are_no_leak(taught, tmp_path):
    shared = "Answer the following question as well as you can in one single word and nothing else please: "
    write(taught, "qa/worded.jsonl", [asked(f"{shared}taught {i}") for i in range(20)])
    write(tmp_path / "tested", "logic/worded2.jsonl", [asked(f"{shared}asked {i}", "no") for i in range(20)])
    done = invoked("certify", "--train", taught, "--test", tmp_path / "tested", "--json")
    assert [row["level"] for row in json.loads(done.stdout)["tasks"]] == ["held-out category"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "q"}, "response is missing"),
        ({"prompt": "q", "response": " "}, "response is empty"),
        ({"messages": [{"role": "user", "content": "q"}]}, "the last must be an answer"),
        ({"messages": [{"role": "user", "content": "a"}] * 2}, "must take turns"),
        ({"prompt": "q", "response": "r", "task": "large", "category": "other"}, "a task has one"),
    ],
)
def test_what_is_no_dialogue_is_refused_by_file_and_row(taught, tmp_path, row, message):
    write(taught, "qa/z.jsonl", [asked("fine"), row])
    done = invoked("mix", "--train", taught, "--size", "10", "--out", tmp_path / "mix.jsonl")
    assert isinstance(done.exception, ValueError)
    assert re.search(f"z.jsonl, line 2.*{message}", str(done.exception)), done.exception
    assert not (tmp_path / "mix.jsonl").exists()


def test_rows_without_an_answer_s_column_are_refused(tmp_path):
    write(tmp_path, "qa/z.jsonl", [{"prompt": "q", "said": "x"}])
    done = invoked("mix", "--train", tmp_path, "--size", "10", "--out", tmp_path / "mix.jsonl")
    assert "line 1: response is missing; allowed: messages, or one of prompt" in str(done.exception)
    assert "columns are prompt, said" in str(done.exception)


def test_shares_that_are_set_stand_beside_the_solved_ones(taught, tmp_path):
    write(taught, "reasoning/steps.jsonl", [asked(f"why {i}", "since") for i in range(9)])
    (tmp_path / "texts").mkdir()
    words = [f"w{i}" for i in range(95)]
    (tmp_path / "texts" / "page.txt").write_text(" ".join(words), encoding="utf-8")
    given = ("--train", taught, "--size", "200", "--fixed", "reasoning=.1", "--fixed", "rewrite=0")
    given += ("--text", tmp_path / "texts", "--text-words", "10", "-o", "size_cap=80")
    done = invoked("mix", *given, "--out", tmp_path / "mix.jsonl", "--json")
    assert done.exit_code == 0, done.output
    drawn = {row["task"]: row["drawn"] for row in json.loads(done.stdout)["tasks"]}
    # 5% of text unless said otherwise; the 170 left by 80 to 20
    assert drawn == {"large": 136, "small": 34, "rewrite": 0, "steps": 20, "text/page": 10}
    rows = [json.loads(line) for line in (tmp_path / "mix.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = {row["text"] for row in rows if row["category"] == "text"}
    assert texts == {" ".join(words[at : at + 10]) for at in range(0, 95, 10)}
    read = read_dialogues(tmp_path / "mix.jsonl")
    assert sum(bool(one.document) for one in read) == 10 and len(read) == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fixed", "none=.1"), "--fixed none: no task or category of that name; allowed: large, qa"),
        (("--fixed", "qa=.1", "--fixed", "small=.1"), "has the task small, which qa has"),
        (("--fixed", "qa=.1", "--fixed", "qa=.1"), "allowed: NAME=SHARE, each name once"),
        (("--fixed", "qa=2"), "--fixed qa=2: allowed: a share from 0 to 1"),
        (("--fixed", "qa=.5", "--fixed", "text=.1"), "0.6 in all, and 0 of 3 tasks have none"),
        (("--text-share", ".1"), "--text-share: has no effect without --text"),
        (("--method", "olmo-law"), "--method olmo-law: allowed"),
        (("-o", "size_cap=0"), "-o size_cap: Input should be greater than 0"),
        (("--start", "10"), "--start 10: allowed: less than --size 10"),
        (("--size", "100000"), "the largest feasible budget"),
    ],
)
def test_settings_that_do_not_go_are_refused(taught, tmp_path, arguments, message):
    done = invoked("mix", "--train", taught, "--size", "10", "--out", tmp_path / "mix.jsonl", *arguments)
    assert message in str(done.exception)
    assert not (tmp_path / "mix.jsonl").exists()
