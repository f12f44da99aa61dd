"""The table of public models: what is bundled, both forms of a user's CSV, and how bad cells are named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tasks.preference.table import read_table

LONG = "model,family,params_b,quantity,value,value_low,value_high\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "figures.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_bundled_figure_names_its_source_and_a_permissive_licence() -> None:
    table = read_table()
    assert len(table.provenance) == int(table.values.notna().sum().sum())
    assert (table.provenance[["unit", "source", "source_commit"]] != "").all(axis=None)
    assert set(table.provenance["licence"]) <= {"Apache-2.0", "MIT"}
    assert table.provenance["source_commit"].str.fullmatch("[0-9a-f]{40}").all()


def test_bundled_table_has_one_rating_scale_and_known_figures() -> None:
    table = read_table()
    assert len(table.values) == 27
    assert table.values["human_rating"].notna().sum() == 19
    assert table.provenance.loc[table.provenance["quantity"] == "human_rating", "unit"].nunique() == 1
    # Llama 2 70B Chat on the Open LLM Leaderboard: 64.59 ARC, 85.88 HellaSwag.
    assert round(table.values.loc["llama-2-70b-chat", "ARC-C"], 4) == 0.6459
    assert round(table.values.loc["llama-2-70b-chat", "HellaSwag"], 4) == 0.8588
    assert table.params_b["llama-2-70b-chat"] == 70
    assert math.isnan(table.params_b["gpt-4-0613"])
    assert table.families["llama-2-7b-chat"] == table.families["llama-2-70b-chat"]


def test_long_and_wide_forms_hold_the_same_figures(tmp_path: Path) -> None:
    long = read_table(write(tmp_path, LONG + "b,F,7,acc,.5,,\nb,F,7,elo,1000,980.4,1019.6\na,,,acc,.25,,\n"))
    wide = read_table(
        write(
            tmp_path,
            "model,family,params_b,acc,elo,elo_low,elo_high\nb,F,7,.5,1000,980.4,1019.6\na,,,.25,,,\n",
        )
    )
    for table in (long, wide):
        assert table.values.index.tolist() == ["a", "b"]
        assert table.values.loc["b"].to_dict() == {"acc": 0.5, "elo": 1000}
        assert math.isnan(table.values.loc["a", "elo"])
        assert table.errors.loc["b", "elo"] == pytest.approx(19.6 / 1.96, rel=1e-4)
        assert math.isnan(table.errors.loc["b", "acc"])
        assert table.families.to_dict() == {"a": "a", "b": "F"}
        assert table.params_b["b"] == 7


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LONG + "a,F,7,acc,.5,,\na,F,7,elo,n/a,,\n", r"figures.csv line 3, column 'value': 'n/a'"),
        (LONG + "a,F,7,acc,inf,,\n", r"line 2, column 'value': 'inf' is not a finite"),
        (LONG + "a,F,7,acc,.5,,\na,F,7,acc,.6,,\n", r"line 3: 'acc' of 'a' stands in line 2"),
        (
            LONG + "a,F,7,acc,.5,,\na,G,7,elo,1,,\n",
            r"line 3, column 'family': 'G' for 'a', which has 'F' in line 2",
        ),
        (LONG + "a,F,-7,acc,.5,,\n", r"line 2, column 'params_b': -7 must be above 0"),
        (LONG + "a,F,big,acc,.5,,\n", r"line 2, column 'params_b': 'big'"),
        (LONG + "a,F,7,acc,.5,.6,.4\n", r"line 2, columns 'value_low' and 'value_high': \[0.6, 0.4\]"),
        (LONG + "a,F,7,acc,.5,.4,\n", r"line 2, column 'value_high': ''"),
        (LONG + ",F,7,acc,.5,,\n", r"line 2, column 'model': empty"),
        (LONG + "a,F,7,,.5,,\n", r"line 2, column 'quantity': empty"),
        (LONG + "a,F,7,acc\n", r"line 2: 4 cells where the header has 7"),
        (LONG + "Llama-2,F,7,acc,.5,,\nllama_2,F,7,elo,1,,\n", r"differ only in case.*'Llama-2', 'llama_2'"),
        ("model,quantity,value,colour\na,acc,.5,red\n", r"line 1:.*unknown columns \['colour'\]"),
        ("model,quantity\na,acc\n", r"line 1: missing columns \['value'\]"),
        ("name,acc\na,.5\n", r"line 1: no column 'model'"),
        ("model,acc,acc\na,.5,.5\n", r"line 1:.*\['acc'\]"),
        ("model,family\na,F\n", r"no benchmark or rating column"),
        ("model,acc\na,.5\na,.6\n", r"line 3, column 'model': 'a' stands in line 2"),
        ("model,acc\na,half\n", r"line 2, column 'acc': 'half'"),
        ("model,acc\n", r"holds no figure"),
        ("", r"empty; a header"),
    ],
)
def test_bad_tables_are_refused_by_file_line_and_column(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refusal:
        read_table(write(tmp_path, text))
    assert "figures.csv" in str(refusal.value)


def test_missing_and_undecodable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.csv: no such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"model,acc\n\xe9,1\n")
    with pytest.raises(ValueError, match=r"latin\.csv: byte 10 is not UTF-8"):
        read_table(tmp_path / "latin.csv")
