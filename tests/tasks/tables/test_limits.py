"""Small files that unpack to gigabytes, and absurd lines, rows and descriptions: refused, and memory stays flat."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tasks.sources.readers import read_documents
from tasks.sources.settings import SourceSettings
from tasks.tables.json_lines import expansion
from tasks.tables.limits import limits
from tasks.tables.parquet import read_parquet_table
from tasks.tables.parquet_pages import ENTRY_BYTES, Chunk, row_groups, unpacked_bytes
from tasks.tables.reading import table_of

ROOT = Path(__file__).resolve().parents[3]
MB = 1 << 20
# Reads each file as a source and as a table, and says what each met, and by how much memory grew at the most.
READ_ALL = """
import resource, sys
from pathlib import Path
import pandas, pyarrow.parquet, zstandard
from tasks.sources.readers import read_documents
from tasks.sources.settings import SourceSettings
from tasks.tables.reading import table_of
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
table_of(pandas.DataFrame({"a": [1]}), "t")
for name in sys.argv[1:]:
    reader = "parquet" if name.endswith(".parquet") else "jsonl"
    for how in ("source", "table"):
        before, met = peak(), "read"
        try:
            if how == "table":
                table_of(name, "t")
            else:
                documents = read_documents(SourceSettings(name="s", reader=reader, path=name))
                for count, text in enumerate(documents):
                    if count == 40:
                        break
        except ValueError as error:
            met = str(error)
        print(f"{Path(name).name}|{how}|{peak() - before:.0f}|{met}", flush=True)
"""


def compressed(path: Path, line: bytes, times: int) -> Path:
    """A file of members or frames that each hold `line`."""
    pack = gzip.compress if path.suffix == ".gz" else zstandard.ZstdCompressor().compress
    path.write_bytes(pack(line) * times)
    return path


@pytest.fixture(scope="module")
def met(tmp_path_factory) -> dict[tuple[str, str], tuple[float, str]]:
    """(file, how it is read) -> MB that memory grew by, and what was met."""
    folder = tmp_path_factory.mktemp("bombs")
    zeros = bytes(64 * MB)
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(["x" * 8 * MB]))
    pq.write_table(pa.table({"text": long}), folder / "cells.parquet", dictionary_pagesize_limit=1 << 30)
    files = [
        compressed(folder / "line.jsonl.zst", zeros, 48),
        compressed(folder / "line.jsonl.gz", zeros, 48),
        folder / "cells.parquet",
    ]
    assert all(path.stat().st_size < 4 * MB for path in files)
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, *map(str, files)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    rows = [line.split("|", 3) for line in done.stdout.splitlines()]
    return {(name, how): (float(grown), told) for name, how, grown, told in rows}


@pytest.mark.parametrize("name", ["line.jsonl.zst", "line.jsonl.gz"])
@pytest.mark.parametrize("how", ["source", "table"])
def test_a_line_of_gigabytes_is_refused_without_holding_it(met, name, how):
    grown, told = met[name, how]
    assert f"{name}:1: longer than 16 MB" in told and "MIXSTITCH_MAX_LINE_MB" in told
    assert grown < 150


def test_a_cell_that_stands_in_every_row_is_held_few_times(met):
    grown, told = met["cells.parquet", "source"]
    assert (told, grown < 600) == ("read", True)
    grown, told = met["cells.parquet", "table"]
    assert "a table of more than 256 MB" in told and "MIXSTITCH_MAX_TABLE_MB" in told


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setenv("MIXSTITCH_MAX_LINE_MB", "1")
    monkeypatch.setenv("MIXSTITCH_MAX_TABLE_MB", "2")


def text_source(path: Path, reader: str = "jsonl") -> list[str]:
    return list(read_documents(SourceSettings(name="s", reader=reader, path=str(path))))


def test_a_long_document_is_read_where_the_user_allows_it(tmp_path, small, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "short"}\n' + json.dumps({"text": "x" * MB}) + "\n")
    with pytest.raises(ValueError, match=r"a\.jsonl:2: longer than 1 MB; allowed: .*MIXSTITCH_MAX_LINE_MB"):
        text_source(path)
    monkeypatch.setenv("MIXSTITCH_MAX_LINE_MB", "2")
    assert [len(text) for text in text_source(path)] == [5, MB]


def test_a_source_may_be_larger_than_any_table(tmp_path, small):
    line = json.dumps({"text": "x" * 1000}).encode() + b"\n"
    path = compressed(tmp_path / "a.jsonl.zst", line * 100, 40)
    assert len(text_source(path)) == 4000
    with pytest.raises(
        ValueError, match=r"a\.jsonl\.zst:\d{4}: a table of more than 2 MB; .*MIXSTITCH_MAX_TABLE_MB"
    ):
        table_of(path, "t")


def test_text_without_line_ends_and_large_cells_of_parquet_are_refused(tmp_path, small):
    (tmp_path / "a.txt").write_text("short\n" + "x" * (MB + 1))
    with pytest.raises(ValueError, match=r"a\.txt:2: longer than 1 MB"):
        text_source(tmp_path / "a.txt", "text")
    pq.write_table(pa.table({"text": ["short", "x" * (MB + 1)]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet row 2: longer than 1 MB"):
        text_source(tmp_path / "a.parquet", "parquet")


def comma_separated(path: Path) -> Path:
    path.write_bytes(b"a,b\n" + b"1,2\n" * 41_000)
    return path


def quoted(path: Path) -> Path:
    path.write_bytes(b'"a",b\n' + b"1,2\n" * 41_000)
    return path


def wide_rows(path: Path) -> Path:
    path.write_bytes(b",".join(b"c%d" % i for i in range(9_000)) + b"\n" + (b"1," * 8_999 + b"1\n") * 19)
    return path


def columns_of_csv(path: Path) -> Path:
    path.write_bytes(b"c," * 11_000 + b"c\n")
    return path


def json_rows(path: Path) -> Path:
    path.write_bytes(b'{"a": 1}\n' * 41_000)
    return path


def json_columns(path: Path) -> Path:
    path.write_bytes(b"".join(b'{"a%d": 1}\n' % i for i in range(1000)))
    return path


def json_values(path: Path) -> Path:
    path.write_bytes(b'{"a": [' + b"[]," * 170_000 + b"[]]}\n")
    return path


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("a.csv", comma_separated, "more than 40,000 rows"),
        ("a.csv", quoted, "a.csv:40002: a table of more than 40,000 rows"),
        ("a.csv", wide_rows, "more than 160,000 values"),
        ("a.csv", columns_of_csv, "more than 10,000 columns"),
        ("a.jsonl", json_rows, "a.jsonl:40001: a table of more than 40,000 rows"),
        ("a.jsonl", json_columns, "more than 160,000 values"),
        ("a.jsonl", json_values, "a.jsonl:1: a table of more than 160,000 values"),
    ],
)
def test_rows_columns_and_values_of_a_table_have_limits(
    tmp_path, small, name: str, write: Callable[[Path], Path], told: str
):
    with pytest.raises(ValueError) as caught:
        table_of(write(tmp_path / name), "t")
    assert told in str(caught.value)


def test_a_deeply_nested_line_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    with pytest.raises(ValueError, match=r"a\.jsonl:1: JSON that is nested too deeply"):
        text_source(path)


@pytest.mark.parametrize("window_log", [27, 28, 31])
def test_a_window_as_long_as_the_formats_own_tool_writes_is_read(tmp_path, window_log):
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, compression_level=1)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(packer.compress(b'{"text": "of a long window"}\n') + packer.flush())
    assert text_source(path) == ["of a long window"]
    assert expansion(path, 1 << 16) > 0


def test_an_absurd_description_of_a_parquet_file_is_refused(tmp_path, small):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"]}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + struct.pack("<I", 3_000_000_000) + b"PAR1")
    with pytest.raises(ValueError, match=r"its description is 2,861 MB; allowed: at most 64 MB"):
        read_parquet_table(path)
    path.write_bytes(whole[:-8] + struct.pack("<I", 60_000_000) + b"PAR1")
    with pytest.raises(ValueError, match=r"a\.parquet: cannot be read as a table: no Parquet"):
        table_of(path, "t")
    pq.write_table(pa.table({f"c{i}": [1] for i in range(10_001)}), path)
    with pytest.raises(ValueError, match=r"10,001 columns; allowed: at most 10,000"):
        table_of(path, "t")
    pq.write_table(pa.table({"text": [str(i) * 1000 for i in range(20_000)]}), path, use_dictionary=False)
    with pytest.raises(ValueError, match=r"row group 0 unpacks to \d+ MB; allowed: at most 16 MB"):
        text_source(path, "parquet")


def test_a_parquet_file_whose_description_is_changed_is_read_or_refused(tmp_path, small):
    """Also where pyarrow would end the process: in what a chunk's description says of its levels."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["ab", "ba"] * 20, "n": [[i, 2] for i in range(40)]}), path)
    whole = path.read_bytes()
    (length,) = struct.unpack("<I", whole[-8:-4])
    for place in range(len(whole) - 8 - length, len(whole) - 8, 2):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with suppress(ValueError):
            table_of(path, "t")


def varint(number: int) -> bytes:
    """A positive number of a page's header, as Thrift's compact protocol writes it."""
    number, told = number << 1, b""
    while number > 127:
        told, number = told + bytes([number & 127 | 128]), number >> 7
    return told + bytes([number])


@pytest.mark.parametrize("dictionary", [False, True])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_pages_that_unpack_to_more_than_the_description_says_are_found_out(
    tmp_path, small, dictionary, compression
):
    path = tmp_path / "a.parquet"
    texts = [f"{number:04d}" * 500 for number in range(700)]
    pq.write_table(
        pa.table({"text": texts}),
        path,
        use_dictionary=dictionary,
        compression=compression,
        dictionary_pagesize_limit=8 * MB,
    )
    assert text_source(path, "parquet") == texts
    with pq.ParquetFile(path) as file, path.open("rb") as stream:
        known = file.metadata.row_group(0).column(0)
        content = path.read_bytes()
        ((chunk,),) = row_groups(path, content[: -len(b"PAR1") - 4][-file.metadata.serialized_size :])
        told = unpacked_bytes(stream, path, chunk)
        place = known.dictionary_page_offset or known.data_page_offset
    assert chunk == Chunk("text", known.total_uncompressed_size, place, place + known.total_compressed_size)
    entries = len(texts) * ENTRY_BYTES if dictionary else 0
    assert 0.99 * chunk.unpacked < told - entries <= chunk.unpacked
    content = bytearray(content)
    assert content[place + 2] == 0x15  # behind the type of page: the field with its unpacked size
    size = 0
    while content[place + 3 + size] > 127:
        size += 1
    lie = varint((1 << 7 * (size + 1) - 1) - 1)
    assert len(lie) == size + 1
    content[place + 3 : place + 4 + size] = lie
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"row group 0 unpacks to \d+ MB; allowed: at most 16 MB"):
        text_source(path, "parquet")
    content[place : place + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet: broken Parquet file: no page at byte"):
        table_of(path, "t")


@pytest.mark.parametrize("given", ["0", "-1", "much", "1e3", "1.5", "99999999"])
def test_a_limit_that_is_no_number_is_named(monkeypatch, given):
    monkeypatch.setenv("MIXSTITCH_MAX_LINE_MB", given)
    with pytest.raises(ValueError, match=rf"MIXSTITCH_MAX_LINE_MB={given}: allowed: whole MB"):
        limits()
