"""Which pair of answers to ask about next: where one vote more tells most of who is better.

A vote between models a and b is worth its Fisher information p (1 - p), p the chance that a wins; the more votes there
are between the two, the less one more adds. p is (wins of a + 1) / (votes + 2), so that models of which nothing is
known count as even. Of equals the item with fewer votes goes first, then by lot, differently for each annotator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Open:
    """Answers of two models to an item, in the order of their names; votes: that the pair has. same: alike as texts."""

    item: str
    first: str
    second: str
    is_gold: bool = False
    same: bool = False
    votes: int = 0

    def with_votes(self, votes: int) -> Open:
        return replace(self, votes=votes)


def information(first: str, second: str, wins: Mapping[tuple[str, str], float]) -> float:
    """What one more vote between two models tells, from (winner, loser) -> wins."""
    won, lost = wins.get((first, second), 0.0), wins.get((second, first), 0.0)
    p = (won + 1) / (won + lost + 2)
    return p * (1 - p) / (won + lost + 1)


def chosen(pairs: Sequence[Open], wins: Mapping[tuple[str, str], float], annotator: str) -> Open:
    """The pair worth most; `pairs` holds one at least."""

    def order(pair: Open) -> tuple[float, int, bytes]:
        lot = hashlib.sha256(f"{annotator}\0{pair.item}\0{pair.first}\0{pair.second}".encode()).digest()
        return -information(pair.first, pair.second, wins), pair.votes, lot

    return min(pairs, key=order)
