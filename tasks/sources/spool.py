"""Documents on disk between the passes over them: in chunks that do not depend on which process wrote them.

A unit is what is read in one piece, a file or a source; a chunk is so much of a unit's text. A document's position is
unit, chunk and number within it in one integer, which grows in the order in which documents are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

CHUNK_CHARACTERS = 16_000_000
NUMBER_BITS, CHUNK_BITS = 20, 20
CHUNK_DOCUMENTS = 1 << NUMBER_BITS
FOLDERS = ("raw", "clean", "hashes", "gone", "signatures", "bands", "parts")


@dataclass(frozen=True)
class Chunk:
    """One chunk, and where what is made of it lies."""

    spool: Path
    unit: int
    number: int

    @property
    def begin(self) -> int:
        """Position of its first document."""
        return ((self.unit << CHUNK_BITS) + self.number) << NUMBER_BITS

    def path(self, folder: str, ending: str) -> Path:
        return self.spool / folder / f"{self.unit:08}-{self.number:07}.{ending}"

    @property
    def training(self) -> Path:
        return self.path("raw", "training.jsonl")

    @property
    def heldout(self) -> Path:
        return self.path("raw", "heldout.jsonl")

    @property
    def clean(self) -> Path:
        return self.path("clean", "jsonl")


def chunk_at(spool: Path, position: int) -> Chunk:
    """The chunk that holds the document at a position."""
    unit, number = divmod(position >> NUMBER_BITS, 1 << CHUNK_BITS)
    return Chunk(spool, unit, number)


class ChunkWriter:
    """Writes a unit's documents, those to train on and those held out apart, and counts its chunks."""

    def __init__(self, spool: Path, unit: int) -> None:
        self.chunks = 0
        self._spool, self._unit = spool, unit
        self._files = ExitStack()
        self._number = CHUNK_DOCUMENTS
        self._characters = 0

    def add(self, text: str, heldout: bool) -> int:
        """Write a document; returns its position."""
        if self._number == CHUNK_DOCUMENTS or self._characters >= CHUNK_CHARACTERS:
            self._next_chunk()
        number = self._number
        (self._heldout if heldout else self._training).write(json.dumps([number, text]) + "\n")
        self._number += 1
        self._characters += len(text)
        return self._chunk.begin + number

    def _next_chunk(self) -> None:
        self._files.close()
        self._chunk = Chunk(self._spool, self._unit, self.chunks)
        self._training = self._files.enter_context(self._chunk.training.open("w", encoding="utf-8"))
        self._heldout = self._files.enter_context(self._chunk.heldout.open("w", encoding="utf-8"))
        self._number = self._characters = 0
        self.chunks += 1

    def __enter__(self) -> ChunkWriter:
        return self

    def __exit__(self, *ended: object) -> None:
        self._files.close()


def numbered(path: Path) -> Iterator[tuple[int, str]]:
    """(number within the chunk, text) of a raw file."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            number, text = json.loads(line)
            yield number, text


def texts(path: Path) -> Iterator[str]:
    """The documents of a clean file."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)
