"""How a model is read for its scores: how much at a time, what is read once, what is read twice to compare."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.kept_scores import AnswerStore

MOST_DIFFERENCE = 1e-4  # nats, in float32


def to_nobody(line: str) -> None:
    pass


@dataclass(frozen=True)
class Reading:
    """None of it changes scores beyond rounding.

    batch_tokens: tokens at a time. shared_prefixes: what texts begin with alike is read once, where the model can;
    otherwise every text is read whole, by the harness' own code. check: so many items are read whole too, and `say`
    is told the largest difference. answers: given before, which are not asked for again; texts read whole to compare
    always are.
    """

    batch_tokens: int = 2048
    shared_prefixes: bool = True
    check: int = 0
    say: Callable[[str], None] = to_nobody
    answers: AnswerStore | None = None

    def __post_init__(self) -> None:
        if self.batch_tokens < 1:
            raise ValueError(f"batch_tokens is {self.batch_tokens}; allowed: at least 1")


def drawn_items(items: Sequence[tuple[Any, Any]], count: int) -> set[tuple[Any, Any]]:
    """`count` of the items (task, number), the same in every run."""
    order = sorted(set(items), key=lambda item: hashlib.sha256(repr(item).encode()).digest())
    return set(order[:count])


def compared(
    items: Sequence[tuple[Any, Any]],
    shared: Sequence[tuple[float, bool]],
    whole: Sequence[tuple[float, bool]],
    exact: bool,
) -> str:
    """What differs between two ways to read the same requests, in a sentence. items: which each belongs to.

    Raises ValueError where log-likelihoods differ by more than 1e-4 nats and exact is true, as it is in float32.
    """
    largest = max(abs(a[0] - b[0]) for a, b in zip(shared, whole, strict=True))
    best: dict[tuple[Any, Any], list[int]] = {}
    for place, item in enumerate(items):
        best.setdefault(item, []).append(place)
    other = sum(
        max(places, key=lambda at: shared[at][0]) != max(places, key=lambda at: whole[at][0])
        for places in best.values()
    )
    said = (
        f"{len(best)} items ({len(items)} texts) read whole too: largest difference {largest:.1e} nats, another choice "
        f"on {other}"
    )
    if exact and not largest <= MOST_DIFFERENCE:
        raise ValueError(
            f"{said}; allowed: {MOST_DIFFERENCE} nats in float32; shared_prefixes off reads every text whole"
        )
    return said
