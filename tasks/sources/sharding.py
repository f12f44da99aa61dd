"""How a corpus is split for its workers: into units to read, and how many processes are worth their start."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.sources.readers import input_files
from tasks.sources.settings import SourceSettings

OF_FILES = ("jsonl", "parquet", "csv", "text")
WORTH_BYTES = 16_000_000  # some five seconds in one process; a worker is there after half a second


@dataclass(frozen=True)
class Unit:
    """What one job reads: a file of a source, or all of it; `source` reads that alone. size: bytes, at most."""

    source: SourceSettings
    size: float


def units_of(source: SourceSettings) -> list[Unit]:
    """A file each, unless the source ends after so many documents or bytes: what is read of it then hangs together.

    Raises ValueError where its files cannot be looked up.
    """
    files = input_files(source)
    if source.reader not in OF_FILES or source.max_bytes or source.max_documents:
        return [Unit(source, min(source.max_bytes or math.inf, sum(map(_size, files)) or math.inf))]
    return [Unit(source.model_copy(update={"path": str(path)}), _size(path)) for path in files]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def workers_worth(asked: int | None, units: Sequence[Unit]) -> int:
    """Processes to use: as many as asked for, else one a core; 1 where all the files are small."""
    if sum(unit.size for unit in units) < WORTH_BYTES:
        return 1
    return asked or len(os.sched_getaffinity(0))
