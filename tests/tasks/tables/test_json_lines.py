"""JSONL files: whole in every form they come in, and what is wrong with one named by file and line."""

from __future__ import annotations

import gzip
import json

import pytest
import zstandard

from tasks.tables.json_lines import CHUNK_BYTES, open_lines, read_json_lines

ROWS = [{"text": f"row {number} " + "ä" * (number % 50)} for number in range(5_000)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def flushed_but_not_ended(data: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.jsonl", LINES.rstrip(b"\n")),
        ("a.jsonl", LINES.replace(b"\n", b"\r\n")),
        ("a.jsonl", b"\n  \r\n" + LINES.replace(b"\n", b"\n\n") + b"\t\n"),
        ("a.jsonl", b"\xef\xbb\xbf" + LINES),
        ("a.jsonl", b"\xef\xbb\xbf\n" + LINES),
        ("a.jsonl.gz", gzip.compress(LINES[:9_000], mtime=0) + gzip.compress(LINES[9_000:], mtime=0)),
        ("a.jsonl.gz", gzip.compress(b"\xef\xbb\xbf" + LINES, mtime=0)),
        ("a.jsonl.zst", zstandard.compress(LINES)),
        ("a.jsonl.zst", zstandard.compress(LINES.rstrip(b"\n"))),
        ("a.jsonl.zst", SKIPPABLE + zstandard.compress(LINES[:9_000]) + zstandard.compress(LINES[9_000:])),
    ],
    ids=[
        "plain",
        "last line without end",
        "carriage returns",
        "blank lines",
        "byte order mark",
        "byte order mark alone in its line",
        "gz of two members",
        "gz with a byte order mark",
        "zst",
        "zst, last line without end",
        "zst of three frames",
    ],
)
def test_every_row_is_read_in_every_form(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert [row for _, row in read_json_lines(tmp_path / name)] == ROWS


def test_lines_of_a_zst_file_are_those_of_the_plain_one(tmp_path):
    data = b"a\n\n" + b"x" * 3 * CHUNK_BYTES + b"\n\nlast"
    (tmp_path / "plain").write_bytes(data)
    (tmp_path / "a.zst").write_bytes(zstandard.ZstdCompressor(level=-50).compress(data))
    (tmp_path / "b.zst").write_bytes(
        b"".join(zstandard.compress(data[i : i + 9]) for i in range(0, 50_000, 9))
    )
    assert list(open_lines(tmp_path / "a.zst")) == list(open_lines(tmp_path / "plain"))
    assert b"".join(open_lines(tmp_path / "b.zst")) == data[:50_004]
    (tmp_path / "empty.zst").touch()
    assert list(open_lines(tmp_path / "empty.zst")) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.jsonl.zst",
            flushed_but_not_ended(LINES),
            r"a\.jsonl\.zst: broken zst file: it ends inside a frame",
        ),
        ("a.jsonl.zst", zstandard.compress(LINES)[:-20], r"a\.jsonl\.zst: broken zst file"),
        ("a.jsonl.zst", zstandard.compress(LINES) + b"more", r"a\.jsonl\.zst: broken zst file"),
        ("a.jsonl.zst", b"not zst", r"a\.jsonl\.zst: broken zst file"),
        (
            "a.jsonl",
            b'{"text": 1}\n{"text": ' + b"[" * 100_000,
            r"a\.jsonl:2: JSON that is nested too deeply",
        ),
        (
            "a.jsonl",
            b'{"text": 1}\n{"n": ' + b"7" * 5_000 + b"}",
            r"a\.jsonl:2: JSON that cannot be read: .*digit",
        ),
        ("a.jsonl", b'{"text": 1}\n\xef\xbb\xbf{"text": 1}\n', r"a\.jsonl:2: not JSON"),
    ],
    ids=[
        "zst not ended",
        "zst cut off",
        "more after zst",
        "not zst",
        "too deep",
        "too long a number",
        "byte order mark in the middle",
    ],
)
def test_what_cannot_be_read_whole_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        list(read_json_lines(tmp_path / name))
