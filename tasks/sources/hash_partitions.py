"""Records on disk, parted by a hash, so that what documents have in common is found a part at a time.

Any process may append to any partition; whoever reads one sorts it, so that the order of writing decides nothing.
What a partition finds is positions of documents that go.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

PARTITIONS = 256
BUFFER_BYTES = 4 << 20
HASH = np.dtype([("high", ">u8"), ("low", ">u8"), ("position", ">u8")])


class PartitionWriter:
    """Appends records of this process to the files of their partitions; memory holds one buffer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buffers: dict[int, bytearray] = {}
        self._size = 0

    def add(self, partition: int, record: bytes) -> None:
        self._buffers.setdefault(partition, bytearray()).extend(record)
        self._size += len(record)
        if self._size >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        for partition, buffer in self._buffers.items():
            with (self._folder / f"{partition:03}-{os.getpid()}.bin").open("ab") as stream:
                stream.write(buffer)
        self._buffers.clear()
        self._size = 0

    def __enter__(self) -> PartitionWriter:
        return self

    def __exit__(self, *ended: object) -> None:
        self.flush()


def hash_record(digest: bytes, position: int) -> bytes:
    """A document's hash of 16 bytes, and where it stands."""
    return digest + position.to_bytes(8, "big")


def partitions_in(folder: Path) -> list[int]:
    """The partitions that hold anything, sorted."""
    return sorted({int(path.name[:3]) for path in folder.iterdir()})


def records_of(folder: Path, partition: int, dtype: np.dtype) -> np.ndarray:
    """All records of a partition, in the order of nothing; their files are removed."""
    paths = sorted(folder.glob(f"{partition:03}-*.bin"))
    found = np.concatenate([np.fromfile(path, dtype) for path in paths])
    for path in paths:
        path.unlink()
    return found


def later_copies(records: np.ndarray) -> np.ndarray:
    """Positions, sorted, of all documents but the first of each hash. records: of dtype HASH."""
    high, low, position = (records[name].astype(np.uint64) for name in HASH.names or ())
    order = np.lexsort((position, low, high))
    high, low = high[order], low[order]
    copies = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    return np.sort(position[order][1:][copies])


def write_gone(folder: Path, name: str, partition: int, positions: np.ndarray) -> None:
    """Keep the sorted positions of documents that go for the reason `name`; nothing where there are none."""
    if len(positions):
        positions.astype("<u8").tofile(folder / f"{name}-{partition:03}.bin")


def numbers_gone(folder: Path, name: str, begin: int, end: int) -> set[int]:
    """Of the documents at positions from `begin` to before `end`, the numbers from `begin` on of those that go."""
    return set(_between(folder.glob(f"{name}-*.bin"), begin, end))


def _between(paths: Iterable[Path], begin: int, end: int) -> Iterable[int]:
    for path in paths:
        positions = np.memmap(path, "<u8", mode="r")
        first, last = np.searchsorted(positions, np.array([begin, end], np.uint64))
        yield from (positions[first:last] - np.uint64(begin)).tolist()
