"""Which documents were seen before, and which are held out: both decided by a hash of the text alone."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from types import TracebackType

HASH_BYTES = 16
PENDING = 10_000


def document_hash(text: str) -> bytes:
    """128-bit BLAKE2b of the text's UTF-8 bytes."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=HASH_BYTES).digest()


def is_heldout(digest: bytes, share: float) -> bool:
    """Whether a document is held out: its hash, read as a fraction of the largest, lies below `share`.

    A document's side depends on nothing but its text, so it never changes when others are added.
    """
    return int.from_bytes(digest[:8], "big") < share * 2**64


class SeenDocuments:
    """Hashes of all documents so far, in a database on disk: memory does not grow with the corpus."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("pragma journal_mode = off")
        self._connection.execute("pragma synchronous = off")
        self._connection.execute("create table seen (hash blob primary key) without rowid")
        self._connection.execute("begin")
        self._pending = 0

    def add(self, digest: bytes) -> bool:
        """Note a document; True where it is new."""
        cursor = self._connection.execute("insert or ignore into seen values (?)", (digest,))
        self._pending += 1
        if self._pending >= PENDING:
            self._connection.execute("commit")
            self._connection.execute("begin")
            self._pending = 0
        return cursor.rowcount == 1

    def __enter__(self) -> SeenDocuments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
