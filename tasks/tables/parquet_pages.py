"""What a Parquet file says of its column chunks, and what their pages say of themselves before they are unpacked.

The description at the end of a file may state less than its pages unpack to, and readers give each page the memory
that its own header asks for. Both are structs of Thrift's compact protocol (FileMetaData and PageHeader of
https://github.com/apache/parquet-format), read here because pyarrow ends the process where it finds the description of
a chunk at odds with itself.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

FIRST_READ, LONGEST_HEADER = 1 << 8, 1 << 26
ENTRY_BYTES = 16  # that a reader holds for each entry of a dictionary beside its text
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
MOST_NESTED = 16
# Field numbers of what is wanted, in the structs that hold it; all else is passed over.
GROUPS, COLUMNS, DESCRIPTION = 4, 1, 3
NAME, CHUNK_UNPACKED, CHUNK_PACKED, DATA_PLACE, DICTIONARY_PLACE = 3, 6, 7, 9, 11
OF_CHUNK: dict[int, Any] = {
    NAME: {},
    CHUNK_UNPACKED: {},
    CHUNK_PACKED: {},
    DATA_PLACE: {},
    DICTIONARY_PLACE: {},
}
OF_FILE: dict[int, Any] = {GROUPS: {COLUMNS: {DESCRIPTION: OF_CHUNK}}}
UNPACKED, PACKED, DICTIONARY, ENTRIES = 2, 3, 7, 1
OF_PAGE: dict[int, Any] = {UNPACKED: {}, PACKED: {}, DICTIONARY: {ENTRIES: {}}}


class _Cut(Exception):
    """A struct goes on behind what was read of it."""


@dataclass(frozen=True)
class Chunk:
    """A column's part of a row group: its name, bytes once unpacked by the description, and where its pages lie."""

    name: str
    unpacked: int
    start: int
    end: int


def row_groups(path: Path, footer: bytes) -> list[list[Chunk]]:
    """The chunks of each row group, as the description says. Raises ValueError where it cannot be read."""
    try:
        told = _struct(io.BytesIO(footer), OF_FILE, 0)
        groups = told.get(GROUPS, [])
        return [[_chunk(column[DESCRIPTION]) for column in group[COLUMNS]] for group in groups]
    except (_Cut, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{path}: broken Parquet file: its description cannot be read") from error


def _chunk(told: Mapping[int, Any]) -> Chunk:
    places = [place for place in (told.get(DICTIONARY_PLACE), told[DATA_PLACE]) if place]
    start = min(places, default=0)
    numbers = (told[CHUNK_UNPACKED], told[CHUNK_PACKED], start)
    if min(numbers) < 0:
        raise ValueError("a size or place below nothing")
    return Chunk(told[NAME][0].decode("utf-8", "replace"), numbers[0], start, start + numbers[1])


def unpacked_bytes(stream: BinaryIO, path: Path, chunk: Chunk) -> int:
    """Bytes that the pages of a chunk unpack to, by their own headers. Raises ValueError for no page."""
    total, place = 0, chunk.start
    while place < chunk.end:
        header, length = _header(stream, path, place)
        dictionary = header.get(DICTIONARY)
        entries = dictionary.get(ENTRIES) if isinstance(dictionary, dict) else 0
        unpacked, packed = header.get(UNPACKED), header.get(PACKED)
        if not (_is_count(unpacked) and _is_count(packed) and _is_count(entries)):
            raise _no_page(path, place)
        total += unpacked + entries * ENTRY_BYTES
        place += length + packed
    return total


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and value >= 0


def _header(stream: BinaryIO, path: Path, place: int) -> tuple[dict[int, Any], int]:
    """The header that begins there, and its length."""
    size = FIRST_READ
    while size <= LONGEST_HEADER:
        try:
            stream.seek(place)
            told = io.BytesIO(stream.read(size))
            return _struct(told, OF_PAGE, 0), told.tell()
        except _Cut:
            if len(told.getvalue()) < size:
                break
            size *= 8
        except (ValueError, OSError):
            break
    raise _no_page(path, place)


def _no_page(path: Path, place: int) -> ValueError:
    return ValueError(f"{path}: broken Parquet file: no page at byte {place:,}")


def _struct(told: io.BytesIO, wanted: Mapping[int, Any], depth: int) -> dict[int, Any]:
    """Field number -> value, of those that are wanted."""
    if depth > MOST_NESTED:
        raise ValueError("nested too deep")
    fields: dict[int, Any] = {}
    number = 0
    while (first := _take(told, 1)[0]) != 0:
        number = number + (first >> 4) if first >> 4 else _zigzag(told)
        value = _value(told, first & 15, wanted.get(number, {}), depth)
        if number in wanted:
            fields[number] = value
    return fields


def _value(told: io.BytesIO, kind: int, wanted: Mapping[int, Any], depth: int) -> Any:
    if kind in (TRUE, FALSE):
        return kind == TRUE
    if kind == BYTE:
        return struct.unpack("b", _take(told, 1))[0]
    if kind in (I16, I32, I64):
        return _zigzag(told)
    if kind == DOUBLE:
        return _take(told, 8)
    if kind == BINARY:
        return _take(told, _varint(told))
    if kind in (LIST, SET):
        return _list(told, wanted, depth + 1)
    if kind == STRUCT:
        return _struct(told, wanted, depth + 1)
    raise ValueError("the format has no maps")


def _list(told: io.BytesIO, wanted: Mapping[int, Any], depth: int) -> list[Any]:
    if depth > MOST_NESTED:
        raise ValueError("nested too deep")
    first = _take(told, 1)[0]
    count = first >> 4 if first >> 4 < 15 else _varint(told)
    kind = BYTE if first & 15 in (TRUE, FALSE) else first & 15
    return [_value(told, kind, wanted, depth) for _ in range(count)]


def _zigzag(told: io.BytesIO) -> int:
    number = _varint(told)
    return (number >> 1) ^ -(number & 1)


def _varint(told: io.BytesIO) -> int:
    number = 0
    for shift in range(0, 70, 7):
        byte = _take(told, 1)[0]
        number |= (byte & 127) << shift
        if byte < 128:
            return number
    raise ValueError("a number without end")


def _take(told: io.BytesIO, count: int) -> bytes:
    found = told.read(count)
    if len(found) < count:
        raise _Cut
    return found
