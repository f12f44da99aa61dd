"""A sample of documents that does not depend on their order: those with the lowest hashes."""

from __future__ import annotations

import heapq


class LowestHashes:
    """The `limit` documents with the lowest hashes, cut to so many characters."""

    def __init__(self, limit: int, characters: int) -> None:
        self.limit = limit
        self.characters = characters
        self._kept: list[tuple[int, str]] = []  # a heap with the highest hash first

    def add(self, digest: bytes, text: str) -> None:
        """Note a document by its hash; one that is kept already stays once."""
        entry = (-int.from_bytes(digest, "big"), text[: self.characters])
        if len(self._kept) < self.limit:
            if entry not in self._kept:
                heapq.heappush(self._kept, entry)
        elif entry > self._kept[0] and entry not in self._kept:
            heapq.heapreplace(self._kept, entry)

    def rows(self) -> list[dict]:
        """{"id", "text"} in the order of the hashes."""
        return [{"id": f"{-number:032x}", "text": text} for number, text in sorted(self._kept, reverse=True)]
