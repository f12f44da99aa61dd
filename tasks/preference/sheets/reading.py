"""Reads CSV, Parquet and JSON lines into rows that remember where they stand."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FORMATS = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
Source = str | Path | pd.DataFrame


@dataclass(frozen=True)
class Sheet:
    """name: the file, or what the caller called it; columns in order; rows as (place, column -> cell).

    A place reads 'line 3' or 'row 0'. A cell is None where empty, else what the format gave.
    """

    name: str
    columns: list[str]
    rows: list[tuple[str, dict[str, Any]]]


def read_sheet(source: Source, what: str) -> Sheet:
    """Reads a file by its ending (also .gz), or takes a DataFrame; `what` names it in messages.

    Raises ValueError for a missing file, another format, text that is not UTF-8, repeated or empty column
    names, and rows whose number of cells is not the header's.
    """
    if isinstance(source, pd.DataFrame):
        return _from_frame(what, source)
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"{what}: {path}: no such file")
    suffix = Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"{what}: {path}: must end in one of {', '.join(FORMATS)} (or that with .gz)")
    if suffix == ".parquet":
        return _from_parquet(path)
    text = _text(path)
    if suffix in (".csv", ".tsv"):
        return _from_csv(str(path), text, "\t" if suffix == ".tsv" else ",")
    return _from_json_lines(str(path), text)


def column_named(sheet: Sheet, names: Iterable[str]) -> str | None:
    """The first column whose name is one of `names` but for case, blanks and punctuation."""
    known = {plain(column): column for column in reversed(sheet.columns)}
    return next((known[plain(name)] for name in names if plain(name) in known), None)


def plain(name: str) -> str:
    """'Model Size (B)' -> 'modelsizeb'."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def normalised(name: str) -> str:
    """A model name without organisation, case and punctuation: 'lmsys/Vicuna-13b_v1.5' -> 'vicuna13bv15'."""
    return re.sub(r"[^a-z0-9]", "", name.rsplit("/", 1)[-1].lower())


def number(sheet: Sheet, place: str, column: str, cell: Any, allowed: str = "a finite number") -> float:
    """The cell as a float. Raises ValueError naming file, place and column of what is no finite number."""
    value = math.nan
    if not isinstance(cell, bool | np.bool_):
        try:
            value = float(cell)
        except (TypeError, ValueError):
            value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"{sheet.name} {place}, column {column!r}: {cell!r} is not {allowed}; leave a cell empty where "
            "there is none"
        )
    return value


def text(sheet: Sheet, place: str, row: Mapping[str, Any], column: str) -> str:
    """The cell as text without blanks around it. Raises ValueError where it is empty."""
    cell = row[column]
    found = "" if cell is None else str(cell).strip()
    if not found:
        raise ValueError(f"{sheet.name} {place}, column {column!r}: empty; a name is needed")
    return found


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if path.suffix.lower() == ".gz":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not UTF-8") from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path}: is not a whole gzip file") from error


def _from_csv(name: str, content: str, delimiter: str) -> Sheet:
    reader = csv.reader(io.StringIO(content), delimiter=delimiter)
    header = [cell.strip() for cell in next(reader, [])]
    _check_header(name, header)
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise ValueError(
                f"{name} line {reader.line_num}: {len(cells)} cells, the header has {len(header)}"
            )
        row = {column: cell.strip() or None for column, cell in zip(header, cells, strict=True)}
        rows.append((f"line {reader.line_num}", row))
    return _not_empty(Sheet(name, header, rows))


def _from_json_lines(name: str, content: str) -> Sheet:
    rows: list[tuple[str, dict[str, Any]]] = []
    for number_of, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{name} line {number_of}: is no JSON ({error.msg})") from error
        if not isinstance(row, dict):
            raise ValueError(f"{name} line {number_of}: must be a JSON object, {{column: cell}}")
        rows.append((f"line {number_of}", row))
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    _check_header(name, columns)
    return _not_empty(
        Sheet(name, columns, [(place, {c: _blank(row.get(c)) for c in columns}) for place, row in rows])
    )


def _from_parquet(path: Path) -> Sheet:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = pq.read_table(path).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: is no Parquet file ({error})") from error
    return _from_frame(str(path), frame)


def _from_frame(name: str, frame: pd.DataFrame) -> Sheet:
    if frame.index.name is not None or not isinstance(frame.index, pd.RangeIndex):
        index = str(frame.index.name or "model")
        frame = frame.rename_axis(index).reset_index() if index not in frame.columns else frame
    columns = [str(column) for column in frame.columns]
    _check_header(name, columns)
    rows = [
        (f"row {i}", {column: _blank(cell) for column, cell in zip(columns, cells, strict=True)})
        for i, cells in enumerate(frame.itertuples(index=False, name=None))
    ]
    return _not_empty(Sheet(name, columns, rows))


def _blank(cell: Any) -> Any:
    if cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float) and math.isnan(cell):
        return None
    return (cell.strip() or None) if isinstance(cell, str) else cell


def _check_header(name: str, header: list[str]) -> None:
    if not header:
        raise ValueError(f"{name}: empty; a header and rows are needed")
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated or "" in header:
        raise ValueError(
            f"{name}: column names must be given and differ; repeated or empty: {repeated or ['']}"
        )


def _not_empty(sheet: Sheet) -> Sheet:
    if not sheet.rows:
        raise ValueError(f"{sheet.name}: no row beside the header; at least one is needed")
    return sheet
