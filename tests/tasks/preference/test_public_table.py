"""The table of public models: what is bundled, both forms of a user's CSV, and how bad cells are named."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from tasks.preference.public_table import BUNDLED, read_table

LONG = "model,family,params_b,quantity,value,value_low,value_high\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "figures.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_bundled_figure_names_its_source_and_a_permissive_licence() -> None:
    table = read_table()
    assert table.sources
    assert all(set(source) == {"source", "source_commit", "licence"} for source in table.sources)
    assert {source["licence"] for source in table.sources} <= {"Apache-2.0", "MIT"}
    assert all(re.fullmatch("[0-9a-f]{40}", source["source_commit"]) for source in table.sources)
    frame = pd.read_csv(BUNDLED)
    assert frame[["source", "source_commit", "licence", "unit"]].notna().all(axis=None)


def test_bundled_table_has_one_rating_scale_and_known_figures() -> None:
    table = read_table()
    values, about = table.figures.values, table.figures.about
    assert len(values) == 27
    assert values["human_rating"].notna().sum() == 19
    assert table.units["human_rating"] == "Chatbot Arena Elo, min-max rescaled to 0-1 by the source"
    # Llama 2 70B Chat on the Open LLM Leaderboard: 64.59 ARC, 85.88 HellaSwag.
    assert round(values.loc["llama-2-70b-chat", "ARC-C"], 4) == 0.6459
    assert round(values.loc["llama-2-70b-chat", "HellaSwag"], 4) == 0.8588
    assert about["params_b"]["llama-2-70b-chat"] == 70
    assert math.isnan(about["params_b"]["gpt-4-0613"])
    assert about["family"]["llama-2-7b-chat"] == about["family"]["llama-2-70b-chat"]


def test_long_and_wide_forms_hold_the_same_figures(tmp_path: Path) -> None:
    long = read_table(write(tmp_path, LONG + "b,F,7,acc,.5,,\nb,F,7,elo,1000,980.4,1019.6\na,,,acc,.25,,\n"))
    wide = read_table(
        write(
            tmp_path,
            "model,family,params_b,acc,elo,elo_low,elo_high\nb,F,7,.5,1000,980.4,1019.6\na,,,.25,,,\n",
        )
    )
    for table in (long, wide):
        values, errors, about = table.figures.values, table.figures.errors, table.figures.about
        assert values.index.tolist() == ["a", "b"]
        assert values.loc["b"].to_dict() == {"acc": 0.5, "elo": 1000}
        assert math.isnan(values.loc["a", "elo"])
        assert errors.loc["b", "elo"] == pytest.approx(19.6 / 1.96, rel=1e-4)
        assert math.isnan(errors.loc["b", "acc"])
        assert about["family"].dropna().to_dict() == {"b": "F"}
        assert about["params_b"]["b"] == 7


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LONG + "a,F,7,acc,.5,,\na,F,7,elo,n/a,,\n", r"figures.csv line 3, column 'value': 'n/a'"),
        (LONG + "a,F,7,acc,inf,,\n", r"line 2, column 'value': 'inf' is not a finite"),
        (LONG + "a,F,7,acc,.5,,\na,F,7,acc,.6,,\n", r"line 3: 'acc' of model 'a' stands in line 2 too"),
        (
            LONG + "a,F,7,acc,.5,,\na,G,7,elo,1,,\n",
            r"line 3, column 'family': 'G' for 'a', before 'F'",
        ),
        (LONG + "a,F,-7,acc,.5,,\n", r"line 2, column 'params_b': -7 must be above 0"),
        (LONG + "a,F,big,acc,.5,,\n", r"line 2, column 'params_b': 'big'"),
        (
            LONG + "a,F,7,acc,.5,.6,.4\n",
            r"line 2, columns 'value_low' and 'value_high': .* \[0.6, 0.4\] does not hold",
        ),
        (LONG + "a,F,7,acc,.5,.4,\n", r"line 2, column 'value_high': None is not a finite"),
        (LONG + ",F,7,acc,.5,,\n", r"line 2, column 'model': empty"),
        (LONG + "a,F,7,,.5,,\n", r"line 2, column 'quantity': empty"),
        (LONG + "a,F,7,acc\n", r"line 2: 4 cells, the header has 7"),
        (LONG + "Llama-2,F,7,acc,.5,,\nllama_2,F,7,elo,1,,\n", r"differ only in case.*'Llama-2', 'llama_2'"),
        ("model,quantity\na,acc\n", r"line 2, column 'quantity': 'acc' is not a finite"),
        ("who,acc\na,.5\n", r"no column 'model'; columns are"),
        ("model,acc,acc\na,.5,.5\n", r"repeated or empty: \['acc'\]"),
        ("model,family\na,F\n", r"no column of figures beside"),
        ("model,acc\na,.5\na,.6\n", r"line 3: model 'a' stands in line 2 too"),
        ("model,acc\na,half\n", r"line 2, column 'acc': 'half'"),
        ("model,acc\n", r"no row beside the header"),
        ("", r"empty; a header"),
    ],
)
def test_bad_tables_are_refused_by_file_line_and_column(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refusal:
        read_table(write(tmp_path, text))
    assert "figures.csv" in str(refusal.value)


def test_columns_that_are_not_used_are_told(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "model,quantity,value,colour\na,acc,.5,red\n"))
    assert any("not used: colour" in note for note in table.notes)


def test_missing_and_undecodable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.csv: no such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"model,acc\n\xe9,1\n")
    with pytest.raises(ValueError, match=r"latin\.csv: byte 10 is not UTF-8"):
        read_table(tmp_path / "latin.csv")
