"""`mixstitch mix solve` and `mix path`: tables in, a mixture out, in a process that loads neither Prefect nor torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from flows.commands.app import app

UTILITY = "source,t,u\na,.8,.2\nb,.3,.7\nc,.5,.5\n"
TOKENS = "source,tokens\nc,1500\na,1000\nb,2000\n"


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "U.csv").write_text(UTILITY)
    (tmp_path / "T.csv").write_text(TOKENS)
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(app, ["mix", *arguments])


def solve(*arguments: str) -> dict:
    result = run("solve", "--tokens", "T.csv", "--json", *arguments)
    assert result.exit_code == 0, result.output or result.exception
    return json.loads(result.output)


def refused(*arguments: str) -> str:
    result = run("solve", "--tokens", "T.csv", *arguments)
    assert isinstance(result.exception, ValueError), result.output
    return str(result.exception)


def test_the_reference_mixture_from_files(tables):
    told = solve("--utility", "U.csv", "--budget", "1000", "--cap", "2", "--method", "utilimax")
    assert told["weights"] == pytest.approx({"a": 0.3294, "b": 0.3368, "c": 0.3338}, abs=5e-5)
    assert told["tokens"] == {"a": 329, "b": 337, "c": 334}
    assert told["certificate"]["objective"] == pytest.approx(1.70859, abs=5e-6)
    assert told["certificate"]["kkt_residual"] < 1e-10
    assert set(told["certificate"]["shadow_prices"]) == {"a", "b", "c"}


def test_parquet_and_long_tables_with_errors(tables):
    rows = [
        {"source": source, "task": task, "value": value, "stderr": 0.1}
        for source, values in {"c": (0.5, 0.5), "a": (0.8, 0.2), "b": (0.3, 0.7)}.items()
        for task, value in zip("tu", values, strict=True)
    ]
    pd.DataFrame(rows).to_parquet("U.parquet")
    told = solve(
        "--utility", "U.parquet", "--budget", "1e3", "--cap", "2", "--method", "utilimax", "--kappa", "0"
    )
    assert told["weights"] == pytest.approx({"a": 0.3294, "b": 0.3368, "c": 0.3338}, abs=5e-5)
    low, high = told["certificate"]["weight_intervals"]["a"]
    assert low < told["weights"]["a"] < high
    robust = solve("--utility", "U.parquet", "--budget", "1000", "--cap", "2", "--method", "utilimax")
    assert robust["certificate"]["kappa"] == 0.0  # the paper's, unless it is asked for
    assert robust["weights"] == told["weights"]


def test_the_default_takes_whatever_is_known(tables):
    """Nothing: UniMax. Losses of one proxy a source: more of the best. The same losses again: surer of it."""
    none = solve("--budget", "1000")
    assert none["weights"] == pytest.approx(dict.fromkeys("abc", 1 / 3))
    assert none["certificate"]["says"] == "no evidence: UniMax"
    rows = ["a,x,3.0", "b,x,3.2", "c,x,3.9", "a,y,2.6", "b,y,2.4", "c,y,3.1"]
    (tables / "L.csv").write_text("\n".join(["source,task,value,stderr", *(f"{row},.5" for row in rows)]))
    thin = solve("--budget", "1000", "--losses", "L.csv")
    (tables / "L.csv").write_text("\n".join(["source,task,value", *rows, *rows]))
    sure = solve("--budget", "1000", "--losses", "L.csv")
    assert sure["weights"]["c"] < thin["weights"]["c"] < 1 / 3 + 1e-9
    assert sure["certificate"]["evidence"] == ["one proxy a source, losses on 2 tasks"]
    assert sure["certificate"]["gain"]["low"] > 0
    by_utilimax = solve("--budget", "1000", "--losses", "L.csv", "--method", "utilimax")
    assert by_utilimax["certificate"]["method"] == "utilimax"
    told = solve("--budget", "1000", "--utility", "U.csv")
    assert told["certificate"]["evidence"] == ["utilities for 2 tasks"]


@pytest.mark.parametrize(
    ("method", "tokens"),
    [
        ("uniform", {"a": 1500, "b": 1500, "c": 1500}),
        ("proportional", {"a": 1000, "b": 2000, "c": 1500}),
        ("unimax", {"a": 1500, "b": 1500, "c": 1500}),
    ],
)
def test_methods_that_need_no_utility(tables, method, tokens):
    assert solve("--budget", "4500", "--method", method)["tokens"] == tokens


def test_weights_by_hand(tables):
    (tables / "W.csv").write_text("source,weight\nb,1\nc,1\na,2\n")
    told = solve("--budget", "1000", "--method", "manual", "--weights", "W.csv")
    assert told["tokens"] == {"a": 500, "b": 250, "c": 250}


def test_the_path_prints_every_point_and_writes_its_picture(tables):
    options = ["--utility", "U.csv", "--tokens", "T.csv", "--budgets", "1000,5e3,20000", "--caps", "2,inf"]
    result = run("path", *options, "--out", "out", "--json")
    assert result.exit_code == 0, result.output
    points = json.loads(result.output)["points"]
    assert [("infeasible" in p) for p in points] == [False, False, True, False, False, False]
    assert (tables / "out" / "path.svg").read_text().lstrip().startswith("<svg")
    assert json.loads((tables / "out" / "path.json").read_text())["points"] == points


def test_the_path_counts_whole_tokens_under_a_fractional_cap(tables):
    """Sources of 1000, 1500 and 2000 tokens under a cap of 1.0007 give 1000 + 1501 + 2001 tokens, not 4503.15."""
    options = ["--utility", "U.csv", "--tokens", "T.csv", "--budgets", "4502,4503", "--caps", "1.0007"]
    points = json.loads(run("path", *options, "--json").output)["points"]
    assert "infeasible" not in points[0]
    assert points[1]["infeasible"] == "the sources hold at most 4,502 tokens under the cap"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "1000", "--method", "utilimax"], "--utility: the method utilimax needs a table"),
        (["--budget", "1000", "--utility", "none.csv"], "none.csv: cannot be read"),
        (
            ["--budget", "1000", "--method", "magic"],
            "--method magic: no such method; allowed: buckets, capped, manual, olmo",
        ),
        (
            ["--budget", "1000", "--method", "uniform", "--risk", "2"],
            "--risk: has no effect with --method uniform",
        ),
        (
            ["--budget", "1000", "--utility", "U.csv", "--kappa", "2", "--method", "utilimax"],
            "--kappa 2: goes with a column stderr",
        ),
        (
            ["--budget", "1000", "--utility", "U.csv", "--kappa", "2"],
            "--kappa: has no effect with --method returns",
        ),
        (["--budget", "1000", "--losses", "L.csv"], "loss of source 'b' for task 'x' is -1: must be above 0"),
        (["--budget", "1000", "--losses", "holes.csv"], "no loss of source 'a' for task 'y'"),
        (["--budget", "1000", "--losses", "U.csv"], "needed are source, task, value, and perhaps stderr"),
        (["--budget", "1000", "--method", "manual"], "--weights: not given"),
        (["--budget", "1000", "--method", "power"], "--runs: not given"),
        (["--budget", "99999", "--utility", "U.csv"], "largest feasible budget is 18,000"),
    ],
)
def test_what_is_wrong_is_named(tables, arguments, said):
    (tables / "L.csv").write_text("source,task,value\na,x,3\nb,x,-1\nc,x,4\n")
    (tables / "holes.csv").write_text("source,task,value\na,x,3\nb,x,2\nc,y,1\n")
    assert said in refused(*arguments)


def test_a_source_that_only_one_table_has_is_named(tables):
    (tables / "U.csv").write_text(UTILITY.replace("a,", "x,"))
    assert "missing ['a'], unknown ['x']" in refused("--budget", "10", "--utility", "U.csv")


def test_neither_prefect_nor_torch_is_loaded(tables):
    program = (
        "import sys\n"
        "sys.argv = 'mixstitch mix solve --utility U.csv --tokens T.csv --budget 9'.split()\n"
        "from flows.commands.app import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "heavy = set('prefect torch transformers mlflow duckdb lightgbm matplotlib'.split()) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_was_taken_is_said_on_standard_error_before_the_answer(tmp_path, capsys, monkeypatch):
    import sys

    from flows.commands import app as commands

    path = tmp_path / "T.csv"
    path.write_text("source,tokens,note\nNA,1200,x\n00,3300,y\n")
    arguments = [
        "mix",
        "solve",
        "--tokens",
        str(path),
        "--budget",
        "1000",
        "--method",
        "proportional",
        "--json",
    ]
    monkeypatch.setattr(sys, "argv", ["mixstitch", *arguments])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert said.err == f"{path}: read as 2 sources (NA, 00); left out: note\n"
    assert set(json.loads(said.out)["weights"]) == {"NA", "00"}


def test_a_setting_that_would_have_no_effect_is_refused(tables):
    wanted = ("--budget", "1000", "--method", "temperature")
    assert solve(*wanted, "-o", "alpha=0.3") != solve(*wanted, "-o", "alpha=0.9")
    assert "-o epoch_cap=1.7: --cap says it" in refused(*wanted, "-o", "epoch_cap=1.7")
    assert "has no effect here; settings of temperature: alpha" in refused(*wanted, "-o", "replay_share=.5")
