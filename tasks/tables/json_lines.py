"""Lines of JSONL files, plain, .gz or .zst: what is wrong with one is a ValueError naming file and line."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import zstandard

JSONL_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
CHUNK_BYTES = 1 << 16


def open_lines(path: Path) -> Iterator[bytes]:
    """Lines of a file; of a compressed one, all members or frames.

    Raises ValueError naming the file where it cannot be read or its compression is broken or cut off.
    """
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path, "rb") as stream:
                yield from stream
        elif path.name.endswith(".zst"):
            yield from _lines(_zstandard_chunks(path))
        else:
            with path.open("rb") as stream:
                yield from stream
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(f"{path}: broken {path.suffix[1:]} file: {error}") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error


def _zstandard_chunks(path: Path) -> Iterator[bytes]:
    """What a file's frames hold; EOFError where the last one has no end, which a stream reader passes over."""
    frame = None
    with path.open("rb") as stream:
        while data := stream.read(CHUNK_BYTES):
            while data:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(data)
                data = b""
                if frame.eof:
                    data, frame = frame.unused_data, None
    if frame is not None:
        raise EOFError("it ends inside a frame")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []
    for chunk in chunks:
        for piece in chunk.splitlines(keepends=True):
            begun.append(piece)
            if piece.endswith(b"\n"):
                yield b"".join(begun)
                begun = []
    if begun:
        yield b"".join(begun)


def read_json_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """(line number from 1, object) of a JSONL file; empty lines and a byte order mark are passed over.

    Raises ValueError naming file and line of what is no object.
    """
    for number, line in enumerate(open_lines(path), 1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}:{number}: not UTF-8 (byte {error.start} of the line)") from error
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{number}: not JSON: {error.msg} at column {error.colno}") from error
        except RecursionError as error:
            raise ValueError(f"{path}:{number}: JSON that is nested too deeply to be read") from error
        except ValueError as error:  # an integer of more digits than Python converts
            raise ValueError(f"{path}:{number}: JSON that cannot be read: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number}: not a JSON object but {type(row).__name__}")
        yield number, row
