"""How the weights of a GGUF file are packed, by its header alone.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import functools
import math
import mmap
import struct
from collections import Counter
from pathlib import Path

MAGIC = b"GGUF"
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a value, by type
STRING, ARRAY = 8, 9


def packings(path: Path) -> dict[int, int]:
    """How many weights there are of each packing, by the format's number for it.

    Raises struct.error, LookupError, ValueError or OSError for what is no whole header.
    """
    about = path.stat()
    return dict(_read(path, about.st_mtime_ns, about.st_size))


@functools.lru_cache(maxsize=8)
def _read(path: Path, changed: int, size: int) -> Counter[int]:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        cursor = _Cursor(content, len(MAGIC))
        cursor.number("I")
        num_tensors, num_values = cursor.number("Q"), cursor.number("Q")
        for _ in range(num_values):
            cursor.skip(STRING)
            cursor.skip(cursor.number("I"))
        weights: Counter[int] = Counter()
        for _ in range(num_tensors):
            cursor.skip(STRING)
            count = math.prod(cursor.number("Q") for _ in range(cursor.number("I")))
            weights[cursor.number("I")] += count
            cursor.number("Q")
    return weights


class _Cursor:
    """A place in the file's content, moved on by what is read."""

    def __init__(self, content: mmap.mmap, place: int) -> None:
        self.content, self.place = content, place

    def number(self, letter: str) -> int:
        (found,) = struct.unpack_from(f"<{letter}", self.content, self.place)
        self.place += struct.calcsize(f"<{letter}")
        return int(found)

    def skip(self, kind: int) -> None:
        """A value of that type; strings have lengths of their own, which have to be gone through."""
        if kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner in SIZES:
                self.place += SIZES[inner] * count
            else:
                for _ in range(count):
                    self.skip(inner)
        elif kind == STRING:
            length = self.number("Q")
            self.place += length
        else:
            self.place += SIZES[kind]
