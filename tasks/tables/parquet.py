"""Parquet files in pieces that memory can hold, as description and pages tell how large a cell and a row group may be.

A cell is no larger than all of its column in a row group is unpacked, but one that stands in a dictionary, or shares
its beginning with the one before, may come back in every row: so few rows are read at a time that this is held, too.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tasks.tables.limits import COLUMNS, FOOTER_BYTES, MB, limits
from tasks.tables.parquet_pages import Chunk, row_groups, unpacked_bytes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
BATCH_ROWS = 256
GROUP_TABLES = 8  # a row group is at most so many tables large: pages of it are held, not all of it


def open_parquet(path: Path) -> pq.ParquetFile:
    """The file, to be closed by who opens it. Raises ValueError for a description that is absurd, OSError and
    pyarrow's errors for no Parquet."""
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        length = _footer_bytes(stream)
    if length > FOOTER_BYTES:
        raise ValueError(
            f"{path}: its description is {length / MB:,.0f} MB; allowed: at most {FOOTER_BYTES // MB} MB"
        )
    file = pq.ParquetFile(
        path,
        thrift_string_size_limit=FOOTER_BYTES,
        thrift_container_size_limit=FOOTER_BYTES // 8,
        pre_buffer=False,
    )
    if file.metadata.num_columns > COLUMNS:
        file.close()
        raise ValueError(f"{path}: {file.metadata.num_columns:,} columns; allowed: at most {COLUMNS:,}")
    return file


def batches(file: pq.ParquetFile, path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows, a few at a time. Raises ValueError for a row group whose pages cannot be held."""
    bounds = limits()
    most = GROUP_TABLES * bounds.table_bytes
    for number, chunks in enumerate(_described(path)):
        wanted = [chunk for chunk in chunks if columns is None or chunk.name in columns]
        unpacked = sum(chunk.unpacked for chunk in wanted)
        if unpacked <= most:
            with path.open("rb") as stream:
                unpacked = max(unpacked, sum(unpacked_bytes(stream, path, chunk) for chunk in wanted))
        if unpacked > most:
            raise ValueError(
                f"{path}: row group {number} unpacks to {unpacked / MB:,.0f} MB; allowed: at most "
                f"{most // MB:,} MB, {GROUP_TABLES} times MIXSTITCH_MAX_TABLE_MB"
            )
        rows = max(1, min(BATCH_ROWS, 2 * bounds.table_bytes // max(unpacked, 1)))
        yield from file.iter_batches(batch_size=rows, row_groups=[number], columns=columns, use_threads=False)


def _described(path: Path) -> list[list[Chunk]]:
    with path.open("rb") as stream:
        length = _footer_bytes(stream)
        stream.seek(-len(MAGIC) - 4 - length, os.SEEK_END)
        return row_groups(path, stream.read(length))


def _footer_bytes(stream: BinaryIO) -> int:
    """Length of the description, as the end of the file says; 0 for another file."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - len(MAGIC) - 4))
    tail = stream.read()
    return struct.unpack("<I", tail[:4])[0] if len(tail) == len(MAGIC) + 4 and tail.endswith(MAGIC) else 0


def read_parquet_table(path: Path) -> pa.Table:
    """The whole file, where it can be held. Raises ValueError where it cannot, and pyarrow's errors for no Parquet."""
    import pyarrow as pa

    bounds, held, size = limits(), [], 0
    with open_parquet(path) as file:
        rows, columns = file.metadata.num_rows, file.metadata.num_columns
        bounds.check_table(f"{path}", rows=rows, values=rows * columns)
        for batch in batches(file, path):
            size += batch.nbytes
            bounds.check_table(f"{path}", size=size)
            held.append(batch)
        table = pa.Table.from_batches(held, schema=file.schema_arrow)
        table.validate(full=True)  # text that is no UTF-8
        return table
