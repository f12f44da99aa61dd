"""What rows of tokens begin with alike, as a tree: what stands in a node is read once for all below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

LEAST_SAVED = 0.3  # of the tokens of a group: reading less than that once is not worth a further pass
LEAST_TOKENS = 16


@dataclass
class PrefixNode:
    """tokens: from the beginning of the rows; start: how many of them its parent has read.

    rows: those that end here. below: all rows that begin so, these too.
    """

    tokens: np.ndarray
    start: int
    rows: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    children: list[PrefixNode] = field(default_factory=list)

    @property
    def end(self) -> int:
        return len(self.tokens)


def prefix_tree(rows: Sequence[Sequence[int]], shortest: int = 1) -> list[PrefixNode]:
    """The roots of a forest in which every row ends in one node: its path from the root spells the row.

    shortest: tokens that a node with children has at least. Equal rows end in the same node.
    """
    by_tokens: dict[bytes, list[int]] = {}
    for place, row in enumerate(rows):
        by_tokens.setdefault(np.asarray(row, ">u4").tobytes(), []).append(
            place
        )  # big-endian sorts as numbers do
    keys = sorted(by_tokens)
    tokens = [np.frombuffer(key, ">u4") for key in keys]
    owners = [by_tokens[key] for key in keys]
    lengths = np.cumsum([0, *(len(row) for row in tokens)])
    roots: list[PrefixNode] = []
    waiting = [(0, len(tokens), roots, 0)] if tokens else []
    while waiting:
        low, high, siblings, start = waiting.pop()
        shared = _common(tokens[low], tokens[high - 1])
        count = high - low
        saved = (shared - start) * (count - 1)
        of_all = lengths[high] - lengths[low] - start * count
        if count > 1 and (shared < shortest or saved < max(LEAST_SAVED * of_all, LEAST_TOKENS)):
            waiting += [(a, b, siblings, start) for a, b in _parted(tokens, low, high, shared)]
            continue
        below = [row for own in owners[low:high] for row in own]
        node = PrefixNode(tokens[low][:shared], start, below=below)
        siblings.append(node)
        if len(tokens[low]) == shared:
            node.rows = owners[low]
            low += 1
        if low < high:
            waiting += [(a, b, node.children, shared) for a, b in _parted(tokens, low, high, shared)]
    return roots


def _common(first: np.ndarray, last: np.ndarray) -> int:
    """How many tokens two rows begin with alike; of sorted rows, all between them do so too."""
    length = min(len(first), len(last))
    differ = np.flatnonzero(first[:length] != last[:length])
    return int(differ[0]) if len(differ) else length


def _parted(tokens: Sequence[np.ndarray], low: int, high: int, at: int) -> Iterator[tuple[int, int]]:
    """The stretches of sorted rows that have the same token at a place; a row that ends there is one of its own."""
    begin = low
    for place in range(low + 1, high + 1):
        before = tokens[place - 1]
        if place == high or len(before) == at or tokens[place][at] != before[at]:
            yield begin, place
            begin = place
