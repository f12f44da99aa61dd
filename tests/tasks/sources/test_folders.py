"""A folder of sources: every file of it, in sub-folders too, is read in its own format or named as left out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest
import zstandard

from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.sources.readers import read_documents
from tasks.sources.resolving import resolve_sources
from tasks.sources.settings import SourceSettings, SourcesSettings

ROWS = [{"text": "one"}, {"text": "two"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
FILES = {
    "a.jsonl": LINES,
    "b.json.gz": gzip.compress(LINES),
    "c.ndjson": LINES,
    "d.json": json.dumps(ROWS, indent=1).encode(),
    "sub/e.JSONL.ZST": zstandard.compress(LINES),
    "sub/deeper/f.csv.gz": gzip.compress(b"text\none\ntwo\n"),
    "g.tsv": b"id\ttext\n1\tone\n2\ttwo\n",
    "h.txt.gz": gzip.compress(b"one\n"),
    "i.md": b"one\n",
}
LEFT = {
    "README.md": b"about",
    "j.pdf": b"%PDF",
    "sub/k.xml": b"<a/>",
    ".hidden.jsonl": b"x",
    "sub/.l/m.jsonl": b"x",
}


def test_every_file_is_read_or_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, content in {**FILES, **LEFT}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    pd.DataFrame(ROWS).to_parquet(tmp_path / "n.parquet")
    with caplog.at_level("INFO", "mixstitch.taken"):
        sources = resolve_sources(SourcesSettings(listed=(), folder=tmp_path))
    read = {source.name: [text.strip() for text in read_documents(source)] for source in sources}
    whole = {name: ["one", "two"] for name in ("a", "b", "c", "d", "g", "n", "sub-e", "sub-deeper-f")}
    assert read == {**whole, "h": ["one"], "i": ["one"]}
    (told,) = caplog.messages
    assert (
        "3 files left out: README.md (it tells of the folder); j.pdf (its ending is none of .jsonl," in told
    )
    assert "sub/k.xml (its ending" in told


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b'[{"text": "one"}, 3]', r"a\.json: element 2: not a JSON object but int"),
        ("a.json", b'{\n "text": "one"\n}', r"a\.json:1: not JSON"),
        ("a.json.gz", gzip.compress(LINES)[:-9], r"a\.json\.gz: broken gz file"),
        ("a.txt.gz", b"plain", r"a\.txt\.gz: broken gz file"),
        ("a.txt.zst", b"plain", r"a\.txt\.zst: broken zst file"),
        ("a.csv", b"id\n1\n", r"field 'text' is missing; the fields are \['id'\]"),
    ],
    ids=list(range(6)),
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    (source,) = resolve_sources(SourcesSettings(listed=(), folder=tmp_path))
    with pytest.raises(ValueError, match=said):
        list(read_documents(source))


def test_names_of_a_csv_are_texts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nNA\n00\n1e3\nTrue\n")
    source = SourceSettings(name="a", reader="csv", path=str(tmp_path / "a.csv"))
    assert list(read_documents(source)) == ["NA", "00", "1e3", "True"]


def test_a_folder_of_benchmarks_names_what_it_leaves_out(tmp_path: Path) -> None:
    row = json.dumps({"question": "q", "answer": "a"}) + "\n"
    (tmp_path / "sub").mkdir()
    for name in ("a.jsonl", "b.ndjson", "sub/c.jsonl", "d.csv"):
        (tmp_path / name).write_text(row)
    (tmp_path / "e.json").write_text(f"[{row}]")
    found, warnings = read_benchmark_folder(tmp_path)
    assert [benchmark.name for benchmark in found] == ["a", "b", "e"]
    assert [told.split(", ")[0] for told in warnings] == [
        "left out: d.csv (its ending is none of .jsonl",
        "left out: sub/c.jsonl (it is in a sub-folder)",
    ]
