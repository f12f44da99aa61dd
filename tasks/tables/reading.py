"""Reads every table that a user hands over: CSV, TSV, JSON lines and Parquet, known by the file's ending.

Cells and names of a CSV are text as it stands there (`NA`, `00`, `1e3`): a number is parsed where one is asked for.
Rows remember where they stand; empty lines and a byte order mark are passed over.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.tables.json_lines import check_text, open_lines, read_json_table
from tasks.tables.limits import limits
from tasks.tables.parquet import read_parquet_table
from tasks.tables.table import WORDING, Table, Wording, table_from

Source = str | Path | pd.DataFrame
DELIMITERS = {".csv": ",", ".txt": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
COMPRESSIONS = (".gz", ".zst")
LARGE_BYTES = 1 << 16
SHOWN_CELLS, SHOWN_CHARACTERS = 6, 30
UNLIKE_CELLS = b'"\t\r\x0b\x0c\x1c\x1d\x1e\x1f'  # quotes, and blanks that are stripped
FORMATS = f"{', '.join((*DELIMITERS, *JSON_LINES))} (also with {' or '.join(COMPRESSIONS)}) or {' or '.join(PARQUET)}"


def table_of(source: Source, what: str, wording: Wording = WORDING) -> Table:
    """Reads a file by its ending, or takes a DataFrame; `what` names it in messages. It may have no row.

    Raises ValueError for a missing file, another format, text that is not UTF-8, broken compression, JSON or
    quotes, repeated or empty column names, and rows whose number of cells is not the header's.
    """
    if not isinstance(source, str | Path):
        return _from_frame(what, source, wording)
    path = Path(source)
    if not path.is_file():
        raise ValueError(wording.missing.format(what=what, name=path))
    ending = "".join(
        path.suffixes[-2:] if path.suffix.lower() in COMPRESSIONS else path.suffixes[-1:]
    ).lower()
    kind = ending.removesuffix(path.suffix.lower()) or ending  # without what it is compressed with
    if kind in DELIMITERS:
        return _from_csv(path, DELIMITERS[kind], wording)
    if kind in JSON_LINES:
        return _from_json_lines(path, wording)
    if ending in PARQUET:
        return _from_parquet(path, wording)
    raise ValueError(f"{what}: {path}: the ending {ending!r} is none of {FORMATS}")


def not_empty(table: Table) -> Table:
    """The table. Raises ValueError where it has no column or no row."""
    if not table.columns:
        raise ValueError(f"{table.name}: empty; a header and rows are needed")
    if not len(table.numbers):
        raise ValueError(f"{table.name}: no row beside the header; at least one is needed")
    return table


def _from_csv(path: Path, delimiter: str, wording: Wording) -> Table:
    name, raw = str(path), _whole(path).removeprefix(codecs.BOM_UTF8)
    if len(raw) >= LARGE_BYTES and (table := _from_plain_csv(name, raw, delimiter, wording)) is not None:
        return table
    # newline="": lines may end in any way, and those inside quotes stay as they are.
    stream = io.TextIOWrapper(io.BytesIO(raw), "utf-8", newline="")
    rows: list[list[str | None]] = []
    lines, columns, bounds = list[int](), list[str](), limits()
    csv.field_size_limit(max(csv.field_size_limit(), bounds.line_bytes))  # of the process: never lowered
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() or None for cell in cells]
            if not any(stripped) and len(cells) in (0, 1, len(columns)):
                continue
            if not columns:
                bounds.check_table(f"{path}:{reader.line_num}", columns=len(stripped))
                columns = [cell or "" for cell in stripped]
                _check_names(name, columns, wording)
                continue
            if len(cells) != len(columns):
                place = wording.place.format(name=name, unit="line", number=reader.line_num)
                told = wording.ragged.format(cells=len(cells), columns=len(columns))
                every = not rows and all(len(more) in (0, len(cells)) for more in reader)
                raise ValueError(f"{place}: {told}: {_shown(cells)}{_guess(cells, len(columns), every)}")
            rows.append(stripped)
            lines.append(reader.line_num)
            bounds.check_table(f"{path}:{reader.line_num}", rows=len(rows), values=len(rows) * len(columns))
    except UnicodeDecodeError as error:
        raise _not_utf8(path, raw) from error
    except csv.Error as error:
        place = wording.place.format(name=name, unit="line", number=reader.line_num)
        raise ValueError(f"{place}: broken cells: {error}") from error
    return table_from(name, columns, list(zip(*rows, strict=True)) or [()] * len(columns), lines, "line")


def _shown(cells: list[str]) -> str:
    shown = [repr(cell if len(cell) <= SHOWN_CHARACTERS else cell[:SHOWN_CHARACTERS] + "…") for cell in cells]
    return ", ".join(shown[:SHOWN_CELLS]) + (", …" if len(shown) > SHOWN_CELLS else "")


def _guess(cells: list[str], columns: int, every: bool) -> str:
    """What may be behind a row that has another number of cells than the header."""
    told = f"; so has every row, {len(cells) - columns:+d} to the header" if every else ""
    if len(cells) > columns and not cells[-1].strip():
        return told + "; take away the delimiter at the end"
    if len(cells) > columns and any(map(_is_cut_number, cells, cells[1:])):
        return told + "; write numbers without commas in them (1200, not 1,200)"
    return told


def _is_cut_number(cell: str, after: str) -> bool:
    """Whether the two cells read as one number with a comma after its thousands."""
    return bool(re.fullmatch(r"-?\d{1,3}", cell.strip()) and re.fullmatch(r"\d{3}(\.\d+)?", after.strip()))


def _from_plain_csv(name: str, raw: bytes, delimiter: str, wording: Wording) -> Table | None:
    """A large table, several times as fast; None where it is not plain: quotes, blanks, empty or broken lines."""
    import pyarrow as pa
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, read_csv

    if not _is_plain(raw, delimiter.encode()):
        return None
    header, _, body = raw.partition(b"\n")
    columns = header.decode("utf-8", "replace").rstrip("\r").split(delimiter)
    bounds, rows = limits(), body.count(b"\n")
    bounds.check_table(f"{name}:1", columns=len(columns))
    bounds.check_table(f"{name}:{rows + 1}", rows=rows, values=rows * len(columns))
    places = list(map(str, range(len(columns))))
    try:
        found = read_csv(
            io.BytesIO(body),
            ReadOptions(column_names=places, use_threads=False),
            ParseOptions(delimiter=delimiter, quote_char=False),
            ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()), null_values=[""], strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid:
        return None  # read again, slowly, to say where it is broken
    if found.column(0).null_count:
        return None  # perhaps a row of nothing
    _check_names(name, columns, wording)
    texts = [pd.Series(pd.arrays.ArrowExtensionArray(column.combine_chunks())) for column in found.columns]
    return table_from(name, columns, texts, range(2, len(found) + 2), "line")


def _is_plain(raw: bytes, delimiter: bytes) -> bool:
    """Whether all that stands between delimiters and line ends is a cell as it is."""
    special = UNLIKE_CELLS.replace(delimiter, b"")
    if not raw.isascii() or len(raw.translate(None, special)) < len(raw):
        return False
    edges = [pair for end in (delimiter, b"\n") for pair in (b" " + end, end + b" ")] if b" " in raw else []
    return raw[:1] not in (b"\n", b" ") and not any(part in raw for part in (b"\n\n", *edges))


def _whole(path: Path) -> bytes:
    """A file's bytes, unpacked. Raises ValueError where they are too many to be held."""
    bounds, kept = limits(), io.BytesIO()
    for number, line in enumerate(open_lines(path), 1):
        bounds.check_table(f"{path}:{number}", size=kept.tell() + len(line))
        kept.write(line)
    return kept.getvalue()


def _not_utf8(path: Path, raw: bytes) -> ValueError:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return ValueError(f"{path}: byte {error.start} is not UTF-8 (line {line})")
    raise AssertionError("it is UTF-8")


def _from_json_lines(path: Path, wording: Wording) -> Table:
    numbered, bounds = read_json_table(path), limits()
    for line, row in numbered:
        check_text(row, f"{path}:{line}")
    columns = list(dict.fromkeys(key for _, row in numbered for key in row))
    bounds.check_table(str(path), values=len(numbered) * len(columns), columns=len(columns))
    _check_names(str(path), columns, wording)
    cells = [[_blank(row.get(column)) for _, row in numbered] for column in columns]
    return table_from(str(path), columns, cells, [line for line, _ in numbered], "line")


def _from_parquet(path: Path, wording: Wording) -> Table:
    import pyarrow as pa

    try:
        # As objects, whole numbers beside an empty cell stay whole.
        frame = read_parquet_table(path).to_pandas(integer_object_nulls=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a table: no Parquet ({error})") from error
    return _from_frame(str(path), frame, wording)


def _from_frame(name: str, frame: pd.DataFrame, wording: Wording) -> Table:
    # An index of numbers without a name is what was left of the rows' places.
    if frame.index.name is not None or not pd.api.types.is_integer_dtype(frame.index):
        index = str(frame.index.name or "model")
        frame = frame.rename_axis(index).reset_index() if index not in frame.columns else frame
    columns = [str(column) for column in frame.columns]
    _check_names(name, columns, wording)
    cells = [_column(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return table_from(name, columns, cells, range(len(frame)), "row")


def _column(series: pd.Series) -> pd.Series | list[Any]:
    if series.dtype.kind in "iuf" and isinstance(series.dtype, np.dtype) and not series.hasnans:
        return series
    return [_blank(cell) for cell in series.tolist()]


def _blank(cell: Any) -> Any:
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, np.generic):
        cell = cell.item()
    if cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return cell


def _check_names(name: str, columns: list[str], wording: Wording) -> None:
    repeated = sorted(column for column, count in Counter(columns).items() if count > 1)
    if repeated or "" in columns:
        raise ValueError(f"{name}: " + wording.names.format(repeated=repeated or [""]))
