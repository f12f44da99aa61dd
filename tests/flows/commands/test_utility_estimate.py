"""The command `mixstitch utility estimate`: from folders to the table that `mix solve` takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands.app import app
from tasks.utility.utility_files import load_utility

QUESTIONS = [
    {"question": f"Which gas do plants number {n} take from the air?", "answer": "carbon dioxide"}
    for n in range(9)
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """`text` with sources `plants` and `cars`, of which plants says one item word by word; `items` with `gas`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    plants = [f"Plants take carbon dioxide gas from the air of garden {n}." for n in range(8)]
    plants.append("Which gas do plants number 3 take from the air? carbon dioxide")
    write(tmp_path / "text" / "plants.jsonl", [{"text": text} for text in plants])
    write(
        tmp_path / "text" / "cars.jsonl", [{"text": f"Wheel {n} of my car squeaks loudly."} for n in range(8)]
    )
    write(tmp_path / "items" / "gas.jsonl", QUESTIONS)
    return tmp_path


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


ESTIMATE = ("utility", "estimate", "--sources", "text", "--benchmarks", "items", "--out", "U.csv")


@pytest.mark.parametrize("method", ["ngram", "tfidf"])
def test_an_estimate_is_what_mix_solve_takes(here, method):
    told = json.loads(invoke(*ESTIMATE, "--method", method, "--json"))
    matrix = load_utility(here / "U.csv")
    assert matrix.rows() == told["utility"]
    assert matrix.values.loc["plants", "gas"] > matrix.values.loc["cars", "gas"]
    assert told["about"]["passed_over"] == {"cars": 0, "plants": 1}
    assert told["about"]["documents"] == {"cars": 8, "plants": 8}
    (here / "T.csv").write_text("source,tokens\nplants,1000000\ncars,1000000\n")
    solved = invoke(
        "mix", "solve", "--utility", "U.csv", "--tokens", "T.csv", "--budget", "1000", "--method", "utilimax"
    )
    assert "plants" in solved
    assert not (here / "home").exists()


def test_a_table_of_ones_own_is_checked_against_the_folders(here):
    (here / "own.csv").write_text("source,gas\nplants,.9\ncars,.1\n")
    invoke(*ESTIMATE, "--method", "table", "-o", "table=own.csv")
    assert load_utility(here / "U.csv").values["gas"].to_dict() == {"cars": 0.1, "plants": 0.9}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--method", "ablation"), "--method ablation: trains proxies, which takes a recipe; allowed: "),
        (("--method", "nope"), "--method nope: no such method; allowed: "),
        (("--method", "table"), "the method 'table' needs a CSV under `table`"),
        (("--sources", "none"), "--sources=none: no such folder"),
        (("--benchmarks", "./none"), "--benchmarks=none: no such folder"),
        (("--out", "none/U.csv"), "there is no folder none"),
        (("-o", "ngram.bucket_bits=2"), "bucket_bits"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_written(here, arguments, told):
    with pytest.raises(ValueError, match=told):
        invoke(*ESTIMATE, *arguments)
    assert not (here / "U.csv").exists()
