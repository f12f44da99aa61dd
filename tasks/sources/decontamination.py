"""Finds evaluation items in training documents: so many words in a row, or the whole item when it is shorter."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate

# Scripts that put no spaces between words are cut into single characters, each a part of a word. A word has
# about two characters in Chinese and Japanese, and four or more (letters, vowel signs and tone marks) in the
# scripts of South-East Asia.
HAN_AND_KANA = (
    "\u3005\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
THAI_LAO_BURMESE_KHMER = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59\u0e81-\u0edf\u1000-\u1049\u1050-\u109f\u1780-\u17d3\u17e0-\u17e9"
)
WORD = re.compile(r"\w+")
UNSPACED = re.compile(f"[{HAN_AND_KANA}{THAI_LAO_BURMESE_KHMER}]")
WORD_OR_CHARACTER = re.compile(f"{UNSPACED.pattern}|[^\\W{UNSPACED.pattern[1:]}+")
HALF_A_WORD = re.compile(f"[{HAN_AND_KANA}]")
WORD_SIZE = 4  # sizes are counted in quarters of a word
SHORTEST = 3  # an item of one or two words stands in any text by chance


def words_of(text: str) -> list[str]:
    """Words in lower case, without punctuation or spacing; single characters where no spaces part words."""
    text = text.lower()
    if text.isascii() or not UNSPACED.search(text):
        return WORD.findall(text)
    return WORD_OR_CHARACTER.findall(text)


def size_of(word: str) -> int:
    """Quarters of a word: 4 for a word, 2 for a Chinese or Japanese character, 1 for a Thai letter."""
    if len(word) > 1 or not UNSPACED.match(word):
        return WORD_SIZE
    return WORD_SIZE // 2 if HALF_A_WORD.match(word) else WORD_SIZE // 4


class ItemIndex:
    """Word windows of evaluation items, found in documents by their first three words.

    texts: task -> texts of its items. window: words in a row that make a document contaminated (13 in
    Brown et al. 2020, arXiv 2005.14165); an item with fewer words counts where it stands whole. Items of
    fewer than three words are not looked for; `num_too_short` counts them. Characters of scripts without
    spaces count as parts of a word, see `size_of`. Windows are kept as 64-bit hashes with a bit for each task
    that has them.
    """

    def __init__(self, texts: Mapping[str, Iterable[str]], window: int) -> None:
        self._tasks = list(texts)
        self._lengths_from: dict[int, int] = {}  # hash of three words -> bits of the window lengths
        self._tasks_with: dict[int, int] = {}  # hash of a window -> bits of the tasks
        self.num_too_short = 0
        for index, items in enumerate(texts.values()):
            for text in items:
                if not self._add(words_of(text), window, 1 << index):
                    self.num_too_short += 1

    def _add(self, words: list[str], window: int, task_bit: int) -> bool:
        """Note an item's windows; False where it is too short to look for."""
        ends = list(accumulate(map(size_of, words)))
        if not ends or ends[-1] < SHORTEST * WORD_SIZE:
            return False
        size = min(window * WORD_SIZE, ends[-1])
        for begin, before in enumerate([0, *ends]):
            last = bisect_left(ends, before + size)
            if last == len(words):
                return True
            found = tuple(words[begin : last + 1])
            start, whole = hash(found[:SHORTEST]), hash(found)
            self._lengths_from[start] = self._lengths_from.get(start, 0) | 1 << len(found)
            self._tasks_with[whole] = self._tasks_with.get(whole, 0) | task_bit
        return True

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
