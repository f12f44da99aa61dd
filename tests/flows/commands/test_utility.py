"""The commands `mixstitch utility ...`, and the files that they read and write."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from flows.commands.app import app
from tasks.utility.matrix import UtilityMatrix
from tasks.utility.utility_files import load_utility, write_utility

UTILITY = "source,task,value,stderr,n\nweb,t,.8,.05,60\nweb,s,.2,.03,60\ncode,t,.3,.05,60\ncode,s,.7,.02,20\n"
TOKENS = "source,tokens\nweb,1_000_000\ncode,2000000\n"
ANCHORS = "source,task,value,stderr\nweb,t,.9,.02\nweb,s,.3,.02\ncode,t,.3,.02\ncode,s,.7,.02\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {"U.csv": UTILITY, "T.csv": TOKENS, "A.csv": ANCHORS}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["utility", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_where_to_label_next(files: Path) -> None:
    arguments = ("next", "--utility", "U.csv", "--tokens", "T.csv", "--budget", "1000000", "--risk", "0.5")
    told = json.loads(invoke(*arguments, "--labels", "30", "--json"))
    assert told["labels"] == 30
    assert {(cell["source"], cell["task"]) for cell in told["cells"]} == {
        (source, task) for source in ("web", "code") for task in ("t", "s")
    }
    falls = [cell["fall"] for cell in told["cells"]]
    assert falls == sorted(falls, reverse=True) and falls[0] > 0
    assert invoke(*arguments).splitlines()[3].split() == ["source", "variance", "fall", "fall_share"]


def test_next_needs_to_know_the_number_of_labels(files: Path) -> None:
    (files / "U.csv").write_text("source,t\nweb,.5\ncode,.6\n")
    with pytest.raises(ValueError, match=r"U\.csv: does not say how many labels .*a column n"):
        invoke("next", "--utility", "U.csv", "--tokens", "T.csv", "--budget", "1000")


def test_calibrating_writes_a_utility_that_can_be_read(files: Path) -> None:
    output = invoke(
        "calibrate", "--utility", "U.csv", "--anchors", "A.csv", "--group", "web=web", "--out", "C.csv"
    )
    assert "bias before web: -0.1000" in output
    found = load_utility(files / "C.csv")
    assert found.values.loc["web", "t"] == pytest.approx(0.9, abs=0.02)
    assert found.about["labels"]["code"]["s"] == 20
    told = json.loads(invoke("calibrate", "--utility", "U.csv", "--anchors", "A.csv", "--json"))
    assert told["calibration"]["groups"] == {"others": ["web", "code"]}
    with pytest.raises(ValueError, match="--group 'web': must be NAME=SOURCE"):
        invoke("calibrate", "--utility", "U.csv", "--anchors", "A.csv", "--group", "web")


def test_ranks_of_two_utilities(files: Path) -> None:
    for name, values in {"a": (0.1, 0.2, 0.3, 0.4), "b": (0.2, 0.1, 0.3, 0.9)}.items():
        rows = [f"s{i},{value}" for i, value in enumerate(values)]
        (files / f"{name}.csv").write_text("\n".join(["source,t", *rows]) + "\n")
    told = json.loads(invoke("rank", "--utility", "a.csv", "--against", "b.csv", "--json"))
    assert told["mean"] == pytest.approx(0.8)
    assert told["cost_ratio"] is None


def test_a_utility_comes_back_from_its_file_and_from_its_folder(tmp_path: Path) -> None:
    values = pd.DataFrame([[0.8, 0.2], [0.1, 1 / 3]], index=["web", "code"], columns=["t", "s"])
    labels = {"web": {"t": 5, "s": 6}, "code": {"t": 7, "s": 8}}
    matrix = UtilityMatrix(values, values / 10, {"labels": labels})
    write_utility(matrix, tmp_path / "u.csv")
    matrix.save(tmp_path / "folder")
    for found in (load_utility(tmp_path / "u.csv"), load_utility(tmp_path / "folder")):
        pd.testing.assert_frame_equal(found.values, values)
        pd.testing.assert_frame_equal(found.errors, values / 10)
        assert found.about["labels"] == labels
    with pytest.raises(ValueError, match=r"holds no utility\.parquet"):
        load_utility(tmp_path)


@pytest.mark.parametrize("n", ["0", "-1", "1.5", ""])
def test_a_number_of_labels_is_a_whole_number(tmp_path: Path, n: str) -> None:
    (tmp_path / "u.csv").write_text(f"source,task,value,stderr,n\nweb,t,.5,.1,{n}\n")
    with pytest.raises(ValueError, match="csv:2: n for task 't'"):
        load_utility(tmp_path / "u.csv")
