"""Finds evaluation items in training documents: so many words in a row, or the whole item when it is shorter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

WORD = re.compile(r"\w+")
SHORTEST = 3  # an item of one or two words stands in any text by chance


def words_of(text: str) -> list[str]:
    """Words in lower case, without punctuation or spacing."""
    return WORD.findall(text.lower())


class ItemIndex:
    """Word windows of evaluation items, found in documents by their first three words.

    texts: task -> texts of its items. window: words in a row that make a document contaminated (13 in
    Brown et al. 2020, arXiv 2005.14165); an item with fewer words counts where it stands whole. Items of
    fewer than three words are not looked for; `num_too_short` counts them. Windows are kept as 64-bit hashes
    with a bit for each task that has them.
    """

    def __init__(self, texts: Mapping[str, Iterable[str]], window: int) -> None:
        self._tasks = list(texts)
        self._lengths_from: dict[int, int] = {}  # hash of three words -> bits of the window lengths
        self._tasks_with: dict[int, int] = {}  # hash of a window -> bits of the tasks
        self.num_too_short = 0
        for index, items in enumerate(texts.values()):
            for text in items:
                words = words_of(text)
                length = min(window, len(words))
                if length < SHORTEST:
                    self.num_too_short += 1
                    continue
                for begin in range(len(words) - length + 1):
                    found = tuple(words[begin : begin + length])
                    start, whole = hash(found[:SHORTEST]), hash(found)
                    self._lengths_from[start] = self._lengths_from.get(start, 0) | 1 << length
                    self._tasks_with[whole] = self._tasks_with.get(whole, 0) | 1 << index

    def tasks_in(self, text: str) -> list[str]:
        """The tasks of which the document contains an item."""
        words = words_of(text)
        bits = 0
        for begin, start in enumerate(zip(words, words[1:], words[2:], strict=False)):
            lengths = self._lengths_from.get(hash(start), 0)
            while lengths:
                length = lengths.bit_length() - 1
                lengths ^= 1 << length
                bits |= self._tasks_with.get(hash(tuple(words[begin : begin + length])), 0)
        return [task for index, task in enumerate(self._tasks) if bits >> index & 1]
