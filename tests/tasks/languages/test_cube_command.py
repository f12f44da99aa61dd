"""The command asks any model, says the size first, writes what came of it, and refuses with one message."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from flows.commands.app import app


@pytest.fixture
def given(tmp_path, settings, tiny_model, byte_tokenizer, benchmark_file):
    settings()  # writes the templates
    folder = tmp_path / "tiny"
    tiny_model.save_pretrained(folder)
    byte_tokenizer.save_pretrained(folder)
    return [
        *("languages", "cube", str(folder), "--files", str(benchmark_file)),
        *("--templates", str(tmp_path / "templates.yaml"), "--shots", "0,2", "--sets", "2"),
    ]


def test_it_says_the_size_before_anything_is_asked(given):
    told = CliRunner().invoke(app, [*given, "--plan", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["cells"] == 16


def test_it_writes_answers_tables_and_page(given, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [*given, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    answers = pd.read_parquet(out / "answers.parquet")
    cell = next(
        c for c in told["cells"] if (c["template"], c["demonstrations"], c["test"]) == ("own", "en", "sw")
    )
    own = answers[
        (answers["template"] == "own") & (answers["demonstrations"] == "en") & (answers["test"] == "sw")
    ]
    assert cell["mean"] == pytest.approx(own["right"].mean())
    assert cell["spread"] == pytest.approx(own.groupby("set_number")["right"].mean().std(ddof=1))
    page = (out / "cube.html").read_text()
    assert "Transfer gaps" in page and "written_by" not in page and "(machine)" in page
    again = CliRunner().invoke(app, [*given, "--out", str(out)])
    assert again.exit_code != 0


def test_it_says_where_nothing_is_in_the_high_resource_language(given):
    done = CliRunner().invoke(app, [*given, "--demonstration-languages", "own", "--max-items", "2"])
    assert done.exit_code == 0, done.output
    assert "No cells compare demonstrations in en with ones in the tested language" in done.stdout.replace(
        "\n", " "
    )
    done = CliRunner().invoke(app, [*given, "--demonstration-languages", "en,own", "--max-items", "2"])
    assert "No cells compare" not in done.stdout


def test_wrong_settings_are_named_by_their_field(given):
    done = CliRunner().invoke(app, [*given, "--shots", "4,0"])
    assert isinstance(done.exception, ValueError) and "shots" in str(done.exception)
    done = CliRunner().invoke(app, [*given, "-o", "magic=1"])
    assert isinstance(done.exception, ValueError) and "magic" in str(done.exception)
