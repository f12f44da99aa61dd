"""`mixstitch mix fit`, `compare` and `efficiency` on small tables."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flows.commands.app import main
from tests.tasks.mixture.laws.made_runs import made_mixtures, power_losses


@pytest.fixture
def tables(tmp_path):
    for name, count, seed in (("train", 40, 0), ("test", 15, 1)):
        runs = made_mixtures(count, seed)
        table = runs.add_prefix("w_").join(power_losses(runs).add_prefix("loss_"))
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def mix(capsys, monkeypatch, *words: object) -> str:
    monkeypatch.setattr(sys, "argv", ["mixstitch", "mix", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return capsys.readouterr().out


def refused(capsys, monkeypatch, *words: object) -> str:
    monkeypatch.setattr(sys, "argv", ["mixstitch", "mix", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_fit_tells_one_object(tables, capsys, monkeypatch):
    out = mix(
        capsys, monkeypatch, "fit", "--runs", tables / "train.csv", "--predict", tables / "test.csv",
        "--law", "power", "--json",
    )  # fmt: skip
    told = json.loads(out)
    assert told["law"] == "power"
    assert told["spearman_mean"] > 0.99
    assert set(told["spearman"]) == {"prose", "programs"}
    low, high = told["spearman_mean_interval"]
    assert low <= told["spearman_mean"] <= high
    assert set(told["regret"]) == {"top_1", "top_5"}
    assert len(told["predictions"]) == 15
    first = told["predictions"][0]
    assert first["index"] == 1
    assert first["mean"] == pytest.approx((first["losses"]["prose"] + first["losses"]["programs"]) / 2)
    assert set(told["seconds"]) == {"fit", "predict"}


def test_fit_prints_scores_regret_and_one_prediction_a_row(tables, capsys, monkeypatch):
    out = mix(
        capsys, monkeypatch, "fit", "--runs", tables / "train.csv", "--predict", tables / "test.csv",
        "--law", "ridge",
    )  # fmt: skip
    for word in ("Spearman", "mean of the losses", "regret top-1", "regret top-5", "prose", "programs"):
        assert word in out
    assert sum(line.strip("│ ").split(" ")[0].isdigit() for line in out.splitlines()) == 15


def test_fit_reads_utilities_long_and_wide_alike(tables, capsys, monkeypatch):
    sources = made_mixtures(1, 0).columns
    cells = {source: (0.1 * i, 1 - 0.1 * i) for i, source in enumerate(sources)}
    wide = "".join(f"{source},{a},{b}\n" for source, (a, b) in cells.items())
    (tables / "wide.csv").write_text("corpus,prose,programs\n" + wide)
    long = "".join(f"{source},prose,{a}\n{source},programs,{b}\n" for source, (a, b) in cells.items())
    (tables / "long.csv").write_text("source,task,value\n" + long)
    told = []
    for name in ("wide.csv", "long.csv"):
        words = ["--runs", tables / "train.csv", "--predict", tables / "test.csv", "--law", "fusion"]
        out = mix(capsys, monkeypatch, "fit", *words, "--utility", tables / name, "--json")
        told.append(json.loads(out)["predictions"])
    assert told[0] == told[1]
    without = refused(capsys, monkeypatch, "fit", "--runs", tables / "train.csv", "--law", "fusion")
    assert "fusion needs one" in without


def test_fit_without_losses_to_score_gives_predictions(tables, capsys, monkeypatch):
    made_mixtures(3, 5).add_prefix("w_").to_csv(tables / "bare.csv", index=False)
    out = mix(
        capsys, monkeypatch, "fit", "--runs", tables / "train.csv", "--predict", tables / "bare.csv",
        "--law", "ridge", "--json",
    )  # fmt: skip
    told = json.loads(out)
    assert told["spearman_mean"] is None
    assert len(told["predictions"]) == 3


def test_compare_and_efficiency_write_their_pictures(tables, capsys, monkeypatch):
    out = mix(
        capsys, monkeypatch, "compare", "--runs", tables / "train.csv", "--predict", tables / "test.csv",
        "--laws", "ridge,power", "--out", tables / "out",
    )  # fmt: skip
    assert "no token counts given" in out
    assert "RegMix" not in out
    told = json.loads((tables / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert [entry["method"] for entry in told["methods"]] == ["uniform", "returns", "ridge", "power"]
    out = mix(
        capsys, monkeypatch, "efficiency", "--runs", tables / "train.csv", "--predict", tables / "test.csv",
        "--laws", "ridge", "--seeds", 2, "--out", tables / "out", "--json",
    )  # fmt: skip
    assert [point["runs"] for point in json.loads(out)["points"]] == [8, 16, 32, 40]
    assert (tables / "out" / "comparison.svg").read_text(encoding="utf-8").startswith("<svg")
    assert (tables / "out" / "efficiency.svg").is_file()


def test_what_is_wrong_is_said_in_one_line(tables, capsys, monkeypatch):
    runs = tables / "train.csv"
    assert "--law" not in refused(capsys, monkeypatch, "fit", "--runs", tables / "none.csv", "--law", "ridge")
    said = refused(capsys, monkeypatch, "fit", "--runs", runs, "--law", "cubic")
    assert said.startswith("mixstitch: law='cubic': must be one of")
    made_mixtures(3, 5).drop(columns="wiki").add_prefix("w_").to_csv(tables / "fewer.csv", index=False)
    said = refused(
        capsys, monkeypatch, "fit", "--runs", runs, "--predict", tables / "fewer.csv", "--law", "ridge"
    )
    assert "missing ['wiki'], unknown []" in said
    assert len(said.strip().splitlines()) == 1


def test_the_commands_start_without_what_they_do_not_need():
    """Neither an orchestrator nor a model library, and LightGBM only for its law."""
    program = (
        "import sys; from flows.commands.app import app; "
        "import tasks.mixture.laws.law_fit, tasks.mixture.comparing; "
        "print([name for name in ('torch', 'transformers', 'prefect', 'mlflow', 'lightgbm', 'matplotlib') "
        "if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
