"""The utility matrix in memory and on disk, the user's table, and the stage's settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.utility.matrix import UtilityMatrix
from tasks.utility.methods.table_utility import table_utility
from tasks.utility.settings import UtilitySettings

VALUES = pd.DataFrame([[0.8, 0.2], [0.0, 1.0]], index=["web", "code"], columns=["t", "s"])
ERRORS = pd.DataFrame([[0.1, 0.0], [0.02, 0.03]], index=["web", "code"], columns=["t", "s"])


def test_a_matrix_comes_back_from_its_folder(tmp_path: Path) -> None:
    UtilityMatrix(VALUES, ERRORS, {"method": "table"}).save(tmp_path / "new")
    loaded = UtilityMatrix.load(tmp_path / "new")
    pd.testing.assert_frame_equal(loaded.values, VALUES)
    pd.testing.assert_frame_equal(loaded.errors, ERRORS)
    assert loaded.about == {"method": "table"}
    assert loaded.rows()[1] == {"source": "web", "task": "s", "value": 0.2, "stderr": 0.0}


@pytest.mark.parametrize(
    ("values", "errors", "message"),
    [
        (VALUES.replace(0.8, 1.5), ERRORS, r"'web' for task 't' is 1\.5: must be from 0 to 1"),
        (VALUES.replace(0.8, np.nan), ERRORS, "is nan"),
        (VALUES, ERRORS.replace(0.02, -0.1), r"standard error of source 'code' for task 't' is -0\.1"),
        (VALUES, ERRORS.replace(0.02, np.inf), "finite"),
        (VALUES, ERRORS.iloc[::-1], "same sources and tasks"),
        (
            VALUES.rename(index={"code": "web"}),
            ERRORS.rename(index={"code": "web"}),
            r"\['web'\] stand twice",
        ),
        (VALUES[[]], ERRORS[[]], "no tasks"),
    ],
)
def test_what_is_no_utility_is_refused(values: pd.DataFrame, errors: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UtilityMatrix(values, errors)


def table(tmp_path: Path, text: str) -> UtilityMatrix:
    path = tmp_path / "utility.csv"
    path.write_text(text, encoding="utf-8")
    return table_utility(path, ["web", "code"], ["t", "s"])


def test_long_and_wide_tables_agree(tmp_path: Path) -> None:
    wide = table(tmp_path, "source,s,t\ncode,1,0\nweb,.2,.8\n")
    unnamed = table(tmp_path, "corpus,s,t\ncode,1,0\nweb,.2,.8\n")
    long = table(tmp_path, "source,task,value,stderr\nweb,t,.8,.1\nweb,s,.2,\ncode,t,0,.02\n\ncode,s,1,.03\n")
    pd.testing.assert_frame_equal(wide.values, VALUES)
    pd.testing.assert_frame_equal(unnamed.values, VALUES)
    pd.testing.assert_frame_equal(long.values, VALUES)
    pd.testing.assert_frame_equal(long.errors, ERRORS)
    assert (wide.errors == 0).all(axis=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source,t\nweb,1\ncode,1\n", r"tasks do not match: missing \['s'\], unknown \[\].*\['s', 't'\]"),
        ("source,t,s,x\nweb,1,1,1\n", r"csv:1: unknown tasks \['x'\]; the tasks are \['t', 's'\]"),
        ("source,t,s\nweb,1,1\nkode,1,1\n", r"sources do not match: missing \['code'\], unknown \['kode'\]"),
        (
            "source,t,s\nweb,1,1\ncode,1,1.2\n",
            r"csv:3: value for task 's' is '1\.2': must be a number from 0 to 1",
        ),
        ("source,t,s\nweb,1,1\ncode,1,\n", "csv:3: value for task 's' is ''"),
        ("source,t,s\nweb,1,1\nweb,1,1\n", "csv:3: source 'web' and task 't' stand in line 2 already"),
        ("source,t,s\nweb,1\n", "csv:2: 2 cells under 3 columns"),
        ("source,task,value\nweb,t,1\nweb,s,1\ncode,t,1\n", r"no value for \[\('code', 's'\)\]"),
        ("source,task,value,stderr\nweb,t,1,-1\n", "csv:2: stderr for task 't' is '-1'"),
        ("source,task,value,weight\nweb,t,1,1\n", r"unknown columns \['weight'\]"),
        ("name,task,s\nweb,1,1\n", "csv:1: columns"),
        ("t,source,s\n1,web,1\n", "csv:1: columns .* the source must stand in the first column"),
        ("", "csv:1: columns"),
        ("source,t,s\n", "no row"),
    ],
)
def test_a_wrong_table_says_where_and_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table(tmp_path, text)


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.csv: cannot be read"):
        table_utility(tmp_path / "none.csv", ["a"], ["t"])
    (tmp_path / "latin.csv").write_bytes("source,tä\n".encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8"):
        table_utility(tmp_path / "latin.csv", ["a"], ["t"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "table"}, "needs a CSV"),
        ({"table": "x.csv"}, "the others take none"),
        ({"ngram": {"bucket_bits": 40}}, "bucket_bits"),
        ({"ngram": {"colour": 1}}, "colour"),
        ({"medu": {"base_url": "localhost"}}, "base_url"),
        ({"medu": {"label_values": {"Great": 1}}}, "must be exactly Great, Good, Okay, Poor, Useless"),
    ],
)
def test_settings_refuse_what_makes_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UtilitySettings(**settings)


def test_naming_the_stage_imports_no_numerical_library() -> None:
    code = (
        "import sys, tasks.utility, tasks.utility.settings; "
        "print([m for m in ('numpy', 'pandas', 'openai', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
