"""What is drawn of other rows, so that they are a share of all that is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tasks.training.token_order import generator

T = TypeVar("T")


def share_count(own: float, others: int, share: float) -> int:
    """How many of the `others` make up `share` of the whole beside `own` rows, or all there are. share: below 1."""
    return min(round(own * share / (1 - share)), others)


def drawn_share(others: Sequence[T], own: int, share: float, random_seed: int, name: str) -> list[T]:
    """So many of the others as `share_count` says, in their order; which ones follows from the seed and `name`."""
    count = share_count(own, len(others), share)
    order = generator(random_seed, name).permutation(len(others))
    return [others[at] for at in sorted(order[:count])]
