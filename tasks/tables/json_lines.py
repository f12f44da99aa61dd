"""Lines of JSONL files, plain, .gz or .zst: what is wrong with one is a ValueError naming file and line.

Files are unpacked as they are read, so that memory holds a line at a time, and no line is longer than its limit.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from tasks.tables.limits import ZSTANDARD_WINDOW, limits

JSONL_SUFFIXES = tuple(
    kind + packed for kind in (".jsonl", ".ndjson", ".json") for packed in ("", ".gz", ".zst")
)
CHUNK_BYTES = 1 << 16
BROKEN = (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError)
PIECE_BYTES = 1 << 9  # of a .zst: four of its bytes may unpack to 128 KB


def open_lines(path: Path) -> Iterator[bytes]:
    """Lines of a file; of a compressed one, all members or frames.

    Raises ValueError naming the file where it cannot be read or its compression is broken or cut off, and naming
    the line that is too long.
    """
    bounds = limits()
    try:
        with _unpacked(path) as stream:
            number = 0
            while line := stream.readline(bounds.line_bytes + 1):
                number += 1
                bounds.check_line(len(line), f"{path}:{number}")
                yield line
    except BROKEN as error:
        raise ValueError(f"{path}: broken {path.suffix[1:]} file: {error}") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error


def expansion(path: Path, head_bytes: int) -> float:
    """Bytes that a byte of the file's head holds when it is unpacked, from the first of them."""
    if path.suffix.lower() not in (".gz", ".zst"):
        return 1.0
    with path.open("rb") as stream:
        head = stream.read(head_bytes)
    if path.suffix.lower() == ".gz":
        return len(zlib.decompressobj(wbits=31).decompress(head, limits().line_bytes)) / len(head)
    frame = zstandard.ZstdDecompressor(max_window_size=ZSTANDARD_WINDOW).stream_reader(head)
    return len(frame.read(limits().line_bytes)) / len(head)


def opened_text(path: Path) -> IO[str]:
    """The text of a file, unpacked, without a byte order mark; line ends stay as they are."""
    return io.TextIOWrapper(_unpacked(path), "utf-8-sig", newline="")


def _unpacked(path: Path) -> IO[bytes]:
    if path.name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.name.lower().endswith(".zst"):
        return io.BufferedReader(_Zstandard(path), CHUNK_BYTES)
    return path.open("rb")


class _Zstandard(io.RawIOBase):
    """What a file's frames hold; EOFError where the last one has no end, which the library's own reader passes over."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("rb")
        self._pieces = self._unpack()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def close(self) -> None:
        self._stream.close()
        super().close()

    def _unpack(self) -> Iterator[bytes]:
        frame = None
        while data := self._stream.read(PIECE_BYTES):
            while data:
                frame = frame or zstandard.ZstdDecompressor(max_window_size=ZSTANDARD_WINDOW).decompressobj()
                yield frame.decompress(data)
                data = b""
                if frame.eof:
                    data, frame = frame.unused_data, None
        if frame is not None:
            raise EOFError("it ends inside a frame")


def read_json_table(path: Path) -> list[tuple[int, dict]]:
    """All that `read_json_lines` gives. Raises ValueError for a file that is too large to be held."""
    return list(_rows(path, whole=True))


def read_json_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """(line number from 1, object) of a JSONL file; empty lines and a byte order mark are passed over.

    Raises ValueError naming file and line of what is no object.
    """
    return _rows(path, whole=False)


def _rows(path: Path, whole: bool) -> Iterator[tuple[int, dict]]:
    if _is_list(path):
        yield from _listed(path)
        return
    bounds, size, rows, values = limits(), 0, 0, 0
    for number, line in enumerate(open_lines(path), 1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        if whole:
            size, rows = size + len(line), rows + 1
            values += sum(line.count(mark) for mark in (b",", b"[", b"{"))  # before they are made
            bounds.check_table(f"{path}:{number}", size, rows, values)
        row = parsed(line, f"{path}:{number}", names_once=whole)
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number}: not a JSON object but {type(row).__name__}")
        yield number, row


def _is_list(path: Path) -> bool:
    """Whether a .json file holds one list, and not an object a line."""
    if Path(path.name.lower().removesuffix(".gz").removesuffix(".zst")).suffix != ".json":
        return False
    first = next((line for line in open_lines(path) if line.removeprefix(codecs.BOM_UTF8).strip()), b"")
    return first.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")


def _listed(path: Path) -> Iterator[tuple[int, dict]]:
    for number, row in enumerate(read_json(path), 1):
        if not isinstance(row, dict):
            raise ValueError(f"{path}: element {number}: not a JSON object but {type(row).__name__}")
        yield number, row


def read_json(path: Path) -> Any:
    """The one value of a .json file. Raises ValueError as `read_json_table` does, and for half surrogate pairs."""
    content, bounds = io.BytesIO(), limits()
    for number, line in enumerate(open_lines(path), 1):
        bounds.check_table(f"{path}:{number}", size=content.tell() + len(line))
        content.write(line)
    value = parsed(content.getvalue().removeprefix(codecs.BOM_UTF8), str(path))
    check_text(value, str(path))
    return value


def parsed(text: bytes, where: str, names_once: bool = True) -> Any:
    """The JSON value of a text. Raises ValueError naming the place of what is none, and of an object in which a name
    stands twice where `names_once`."""
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_object if names_once else None)
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 (byte {error.start} of the line)") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError(f"{where}: JSON that is nested too deeply to be read") from error
    except ValueError as error:  # a name that stands twice; an integer of more digits than Python converts
        raise ValueError(f"{where}: JSON that cannot be read: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"{next(name for name in names if names.count(name) > 1)!r} stands twice in an object"
        )
    return found


def check_text(value: Any, where: str) -> None:
    """Raises ValueError naming the place of a value in which half of a surrogate pair stands: it is no text."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        around = ascii(error.object[max(0, error.start - 20) : error.end])
        raise ValueError(f"{where}: half of a surrogate pair is no text: {around}") from error
    except RecursionError as error:
        raise ValueError(f"{where}: JSON that is nested too deeply to be read") from error
