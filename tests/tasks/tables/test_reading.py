"""Tables of a user: the same cells from every format, as they stand there, and what is wrong named by its place."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from pathlib import Path

import pandas as pd
import pytest
import zstandard

from tasks.mixture.laws.named_tables import read_mixtures, read_tokens, read_weights
from tasks.mixture.laws.run_table import read_runs
from tasks.preference.annotation.judgements import read_judgements
from tasks.preference.sheets.figures import read_figures
from tasks.tables.reading import LARGE_BYTES, table_of
from tasks.tables.table import as_number, as_text, number, numbers_of, text
from tasks.utility.anchors import read_anchors
from tasks.utility.utility_files import load_utility

FORMS = ("csv", "tsv", "jsonl", "csv.gz", "tsv.zst", "jsonl.gz", "jsonl.zst", "parquet", "CSV")


def written(folder: Path, form: str, rows: list[dict]) -> Path:
    """The rows in that form; a cell of a CSV is the text of the value."""
    path = folder / f"table.{form}"
    kind, *compressed = form.lower().split(".")
    frame = pd.DataFrame(rows)
    if kind == "parquet":
        frame.to_parquet(path, index=False)
        return path
    if kind == "jsonl":
        content = "".join(json.dumps(row) + "\n\n" for row in rows)
    else:
        content = "\ufeff" + frame.to_csv(index=False, sep="\t" if kind == "tsv" else ",")
    raw = content.encode()
    path.write_bytes(
        {"gz": gzip.compress, "zst": zstandard.compress}[compressed[0]](raw) if compressed else raw
    )
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_reader_takes_every_form(tmp_path: Path, form: str) -> None:
    def given(*rows: dict) -> Path:
        return written(tmp_path, form, list(rows))

    assert read_tokens(given({"source": "00", "tokens": 1000}, {"source": "NA", "tokens": 20})) == {
        "00": 1000,
        "NA": 20,
    }
    assert read_weights(given({"source": "NA", "weight": 0.5})) == {"NA": 0.5}
    assert read_mixtures(given({"name": "m", "w_a": 3, "w_b": 1})).loc["m"].to_dict() == {
        "a": 0.75,
        "b": 0.25,
    }
    runs = read_runs(given({"run": "007", "w_a": 1, "w_b": 1, "loss_x": 2.5}))
    assert (list(runs.weights.index), runs.losses["x"].tolist()) == (["007"], [2.5])
    long = load_utility(given({"source": "NA", "task": "t", "value": 0.5, "stderr": 0.1, "n": 4}))
    assert (long.values.loc["NA", "t"], long.errors.loc["NA", "t"], long.about["labels"]) == (
        0.5,
        0.1,
        {"NA": {"t": 4}},
    )
    assert load_utility(given({"corpus": "web", "t": 1, "s": 0.25})).values.loc["web"].to_dict() == {
        "t": 1,
        "s": 0.25,
    }
    assert read_anchors(given({"source": "None", "task": "t", "value": 0.5}))["source"].tolist() == ["None"]
    figures = read_figures(given({"model": "1e3", "acc": 0.5, "elo": 1000}), "scores").values
    assert figures.to_dict("index") == {"1e3": {"acc": 0.5, "elo": 1000.0}}
    judged = read_judgements(
        given({"item": 1, "model_a": "m", "model_b": "n", "annotator": "p", "choice": "A"})
    )
    assert judged.rows[["item", "value"]].to_numpy().tolist() == [["1", 1.0]]


def test_cells_are_text_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('name,x\n NA ,00\n\n"a\n""b""",1e3\nTrue,\n')
    table = table_of(tmp_path / "t.csv", "things")
    assert table.columns == ["name", "x"]
    assert table.rows == [
        ("line 2", {"name": "NA", "x": "00"}),
        ("line 5", {"name": 'a\n"b"', "x": "1e3"}),
        ("line 6", {"name": "True", "x": None}),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_any_way(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(end.join([b"a,b", b"1,2", b"3,4"]))
    assert [row for _, row in table_of(tmp_path / "t.csv", "things").rows] == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]


def test_whole_numbers_beside_an_empty_cell_stay_whole() -> None:
    frame = pd.DataFrame({"a": [1.0, math.nan], "b": pd.array([2**60 + 1, None], dtype="Int64")})
    (_, first), (_, second) = table_of(frame, "things").rows
    assert (first, second) == ({"a": 1.0, "b": 2**60 + 1}, {"a": None, "b": None})
    assert as_text(first["a"]) == "1"


def test_an_index_with_names_is_a_column_and_one_of_places_is_none() -> None:
    frame = pd.DataFrame({"x": [1, 2]}, index=["m", "n"])
    assert table_of(frame, "things").columns == ["model", "x"]
    assert table_of(frame.rename_axis("source"), "things").columns == ["source", "x"]
    assert table_of(pd.DataFrame({"x": [1, 2]}, index=[4, 9]), "things").columns == ["x"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"a,b\n1,2\n\n1\n", r"t\.csv line 4: 1 cells, the header has 2: '1'$"),
        (
            "t.csv",
            b"a,b\n1,2,\n\n3,4,\n",
            r"line 2: 3 cells, the header has 2: '1', '2', ''; so has every row, \+1 to the header; take away",
        ),
        (
            "t.csv",
            b"a,b\n1,2\n3,4,\n",
            r"line 3: 3 cells, the header has 2: '3', '4', ''; take away the delimiter",
        ),
        (
            "t.csv",
            b"a,b\nweb,1,200\n",
            r"line 2: 3 cells, .* 'web', '1', '200'; .*; write numbers without commas",
        ),
        ("t.csv", b"a,b\n1,2\n,,,\n", r"line 3: 4 cells, the header has 2"),
        ("t.csv", b"a,b\r1,2\r3", r"line 3: 1 cells, the header has 2"),
        ("t.tsv", b"a\tb\n1\t2\t3\n", r"t\.tsv line 2: 3 cells, the header has 2"),
        (
            "t.csv",
            b"a,b,a\n1,2,3\n",
            r"t\.csv: column names must be given and differ; repeated or empty: \['a'\]",
        ),
        ("t.csv", b"a,,b\n1,2,3\n", r"repeated or empty: \[''\]"),
        ("t.csv", b'a,b\n1,"2\n3,4\n', r"t\.csv line 3: broken cells: unexpected end of data"),
        ("t.csv", b"a,b\n1,2\n1,\xff\n", r"t\.csv: byte 10 is not UTF-8 \(line 3\)"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], r"t\.csv\.gz: broken gz file"),
        ("t.tsv.zst", b"a\tb\n", r"t\.tsv\.zst: broken zst file"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', r"t\.jsonl:2: not JSON"),
        ("t.jsonl", b'{"a": 1, "b": 2, "a": 3}\n', r"t\.jsonl:1: JSON that cannot be read: 'a' stands twice"),
        (
            "t.jsonl",
            b'{"a": 1}\n{"a": "x\\ud83d"}\n',
            r"t\.jsonl:2: half of a surrogate pair is no text: .*ud83d",
        ),
        ("t.jsonl", b'{"a\\udc00": 1}\n', r"t\.jsonl:1: half of a surrogate pair"),
        ("t.jsonl", b'{"a": ["\\ud83d"]}\n', r"t\.jsonl:1: half of a surrogate pair"),
        ("t.csv.gz", b"\x1f\x8b\x08" + b"7" * 40, r"t\.csv\.gz: broken gz file"),
        ("t.jsonl", b"[1]\n", r"t\.jsonl:1: not a JSON object but list"),
        ("t.parquet", b"PAR1", r"t\.parquet: cannot be read as a table: no Parquet"),
        ("t.xlsx", b"PK", r"things: .*t\.xlsx: the ending '\.xlsx' is none of \.csv, .*\.parquet"),
        ("t.json.gz", b"", r"the ending '\.json\.gz' is none of"),
        ("t.parquet.gz", b"", r"the ending '\.parquet\.gz' is none of"),
        ("t.gz", b"", r"the ending '\.gz' is none of"),
        ("t", b"", r"the ending '' is none of"),
    ],
    ids=itertools.count(),
)
def test_what_is_broken_is_named_by_its_place(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        table_of(tmp_path / name, "things")


def test_cells_may_be_as_long_as_a_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f'a,b\n{"x " * 100_000},"{"y" * 200_000}"\n')
    assert [len(cell) for cell in table_of(tmp_path / "t.csv", "things").frame.loc[1]] == [199_999, 200_000]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"m": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", r"m\.json: JSON that is nested too deeply"),
        (b'{"m": {"a": 1}, "m": {"a": 2}}', "'m' stands twice"),
        (b'{"m": {"a": 1, "a": 2}}', "'a' stands twice"),
        (b'{"m": {"a\\ud83d": 1}}', r"m\.json: half of a surrogate pair"),
        (b'{"m": {"a": NaN, "b": 1}}', "weight of 'a' in 'm': NaN is no finite number"),
        (b'{"m": {"a": true}}', "weight of 'a' in 'm': true is no"),
        (b'{"m": {"a": "3"}}', "weight of 'a' in 'm': \"3\" is no"),
        (b'{"m": {"a": null, "b": 1}}', "weight of 'a' in 'm': null is no"),
        (b'{"m": 3}', 'it must hold {"name": {"source": weight}}'),
        (b"[]", 'it must hold {"name": {"source": weight}}'),
        (b"{}", "holds no mixture"),
    ],
)
def test_mixtures_of_json_are_checked_value_by_value(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_mixtures(tmp_path / "m.json")


def test_mixtures_of_json_may_be_compressed_and_begin_with_a_mark(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"m": {"NA": 3, "00": 1}, "n": {"00": 1}}'
    (tmp_path / "m.json.gz").write_bytes(gzip.compress(content))
    assert read_mixtures(tmp_path / "m.json.gz").to_dict("index") == {
        "m": {"NA": 0.75, "00": 0.25},
        "n": {"NA": 0.0, "00": 1.0},
    }


def test_numbers_are_parsed_where_one_is_asked_for() -> None:
    assert [as_number(cell) for cell in ("1e3", " 2 ", 3, "1_000")] == [1000.0, 2.0, 3.0, 1000.0]
    assert [math.isnan(as_number(cell)) for cell in (True, None, "", "x", [1], "nan", "0x10")] == [True] * 7
    table = table_of(pd.DataFrame({"x": ["many"], "y": [["a"]]}), "things")
    ((place, row),) = table.rows
    with pytest.raises(ValueError, match=r"things row 0, column 'x': 'many' is not a finite number"):
        number(table, place, "x", row["x"])
    with pytest.raises(ValueError, match=r"things row 0, column 'y': \['a'\] is no text"):
        text(table, place, row, "y")


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("NA,00,1e3,", ["NA", "00", "1e3", None]),
        ("a, b ,c d,1", ["a", "b", "c d", "1"]),
        ('"a",b,"c,d",2', ["a", "b", "c,d", "2"]),
        ("\u00e4,b,c,0.1", ["\u00e4", "b", "c", "0.1"]),
        ("a,b,c,1_000\n\n,,,", ["a", "b", "c", "1_000"]),
        ("a,b,c,3\r", ["a", "b", "c", "3"]),
    ],
)
def test_a_large_table_is_read_as_a_small_one(tmp_path: Path, line: str, same: list) -> None:
    few, many = tmp_path / "few.csv", tmp_path / "many.csv"
    few.write_bytes(f"w,x,y,z\n{line}\na,b,c,0.30000000000000004\n".encode())
    many.write_bytes(few.read_bytes() + b"a,b,c,0.30000000000000004\n" * (LARGE_BYTES // 20))
    small, large = table_of(few, "things"), table_of(many, "things")
    assert large.rows[:2] == small.rows
    assert list(large.rows[0][1].values()) == same
    assert numbers_of(large.frame["z"])[-1] == 0.1 + 0.2
    expected = [as_number(row["z"]) for _, row in small.rows]
    assert numbers_of(large.frame["z"])[:2].tolist() == pytest.approx(expected, nan_ok=True, abs=0)
    many.write_bytes(many.read_bytes() + b"a,b\n")
    with pytest.raises(
        ValueError, match=rf"many\.csv line {large.numbers[-1] + 1}: 2 cells, the header has 4"
    ):
        table_of(many, "things")
