"""Readers give every kind of input as text, and say what is wrong with a broken one."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tasks.sources.readers import input_files, read_documents
from tasks.sources.resolving import resolve_sources
from tasks.sources.settings import SourceSettings, SourcesSettings

ROWS = "".join(json.dumps({"text": text, "body": text.upper()}) + "\n" for text in ("one ä", "two", "three"))


def source(**settings) -> SourceSettings:
    return SourceSettings(**{"name": "s", "reader": "jsonl", **settings})


@pytest.mark.parametrize(
    ("name", "compressed"),
    [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zstandard.compress)],
    ids=["plain", "gz", "zst"],
)
def test_json_lines_are_read_plain_and_compressed(tmp_path, name, compressed):
    path = tmp_path / name
    path.write_bytes(compressed(ROWS.encode()))
    assert list(read_documents(source(path=str(path)))) == ["one ä", "two", "three"]
    assert list(read_documents(source(path=str(path), text_field="body"))) == ["ONE Ä", "TWO", "THREE"]
    assert list(read_documents(source(path=str(path), max_documents=2))) == ["one ä", "two"]


def test_parquet_and_text_globs_are_read(tmp_path):
    pd.DataFrame({"content": ["x", "y"]}).to_parquet(tmp_path / "p.parquet")
    parquet = source(reader="parquet", path=str(tmp_path / "p.parquet"), text_field="content")
    assert list(read_documents(parquet)) == ["x", "y"]
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    assert list(read_documents(source(reader="text", path=str(tmp_path / "*.txt")))) == ["first", "second"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text": "x"}\nnot json\n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", b'{"text": "x"}\n[1]\n', r"a\.jsonl:2: not a JSON object"),
        ("a.jsonl", b'{"text": "\xff"}\n', r"a\.jsonl:1: not UTF-8"),
        ("a.jsonl", b'{"body": "x"}\n', r"a\.jsonl:1: field 'text' is missing; the fields are \['body'\]"),
        ("a.jsonl.gz", b"not gzip", r"a\.jsonl\.gz: broken gz file"),
        ("a.jsonl.gz", gzip.compress(ROWS.encode() * 50, mtime=0)[:-20], r"a\.jsonl\.gz: broken gz file"),
        ("a.jsonl", b"", "empty: no document"),
        ("a.jsonl", b'{"text": "  "}\n', "empty: no document"),
    ],
    ids=[
        "no JSON",
        "a list",
        "not UTF-8",
        "another field",
        "not gzip",
        "gzip cut off",
        "no byte",
        "only blanks",
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        list(read_documents(source(path=str(tmp_path / name))))


def test_a_missing_file_and_a_text_that_is_not_utf8_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"source 's': .*no such file"):
        input_files(source(path=str(tmp_path / "none*.jsonl")))
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"a\.txt: not UTF-8"):
        list(read_documents(source(reader="text", path=str(tmp_path / "a.txt"))))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "source 's': '': is a folder; allowed: a file, or a pattern"),
        ("/", "source 's': /: is a folder"),
        (".", r"source 's': \.: is a folder"),
        ("~no-such-user/x.jsonl", "source 's': ~no-such-user/x.jsonl: cannot be looked up"),
        ("n" * 300, "source 's': n+: cannot be looked up: File name too long"),
        ("/nowhere/**x", r"source 's': /nowhere/\*\*x: cannot be looked up: Invalid pattern"),
        ("a\0b", "source 's': a\0b: no such file"),
    ],
)
def test_a_path_that_is_no_file_is_named(path, said):
    with pytest.raises(ValueError, match=said):
        input_files(source(path=path))


def test_a_broken_parquet_file_is_named(tmp_path):
    path = tmp_path / "p.parquet"
    read = source(reader="parquet", path=str(path))
    table = pa.table({"text": [f"text number {number} of many" for number in range(5_000)]})
    pq.write_table(table, path, compression="snappy", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[2_000:3_000] = b"\xff" * 1_000
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"source 's': .*p\.parquet: not a readable Parquet file"):
        list(read_documents(read))
    path.write_bytes(b"not parquet")
    with pytest.raises(ValueError, match=r"source 's': .*p\.parquet: not a readable Parquet file"):
        list(read_documents(read))
    latin = pa.array([b"fine", b"caf\xe9"], pa.binary())
    broken = pa.StringArray.from_buffers(2, *latin.buffers()[1:])
    pq.write_table(pa.table({"text": broken}), path)
    with pytest.raises(ValueError, match=r"source 's': .*p\.parquet row 2: not UTF-8"):
        list(read_documents(read))
    pq.write_table(pa.table({"text": ["fine", None], "n": [1, 2]}), path)
    with pytest.raises(ValueError, match=r"p\.parquet row 2: field 'text' is null; .*\['n', 'text'\]"):
        list(read_documents(read))


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbftext")
    assert list(read_documents(source(reader="text", path=str(tmp_path / "a.txt")))) == ["text"]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + ROWS.encode())
    assert list(read_documents(source(path=str(tmp_path / "a.jsonl")))) == ["one ä", "two", "three"]


def test_a_folder_gives_one_source_a_file(tmp_path):
    for name in ("b.jsonl.gz", "a.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "readme.md").touch()
    found = resolve_sources(SourcesSettings(listed=(), folder=tmp_path))
    assert [s.name for s in found] == ["a", "b"]
    (tmp_path / "b.jsonl").touch()
    with pytest.raises(ValueError, match=r"b\.jsonl and b\.jsonl\.gz both get the name 'b'"):
        resolve_sources(SourcesSettings(listed=(), folder=tmp_path))


@pytest.mark.parametrize("reader", ["python-code", "python-docs", "arithmetic", "noise"])
def test_sources_that_exist_everywhere_give_the_same_documents_every_time(reader):
    first, second = (list(read_documents(source(reader=reader, max_documents=5))) for _ in range(2))
    assert first == second
    assert len(set(first)) == 5


def test_worked_problems_are_right():
    for text in read_documents(source(reader="arithmetic", max_documents=200)):
        work = next(line for line in text.splitlines() if line.startswith("Work: "))
        left, right = work.removeprefix("Work: ").split(" = ")
        assert eval(left.replace("x", "*")) == int(right)
        assert text.endswith(f"Answer: {right}\n")


def test_a_large_text_file_is_cut_into_documents_at_line_ends(tmp_path):
    lines = [f"line {number} of a long file\n" for number in range(100_000)]
    (tmp_path / "long.txt").write_text("".join(lines))
    documents = list(read_documents(source(reader="text", path=str(tmp_path / "long.txt"))))
    assert len(documents) > 1
    assert "".join(documents) == "".join(lines)
    assert all(document.endswith("\n") for document in documents)
