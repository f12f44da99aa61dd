"""What a kind of benchmark item says of itself: its fields, its text, how a model's answer to it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Item = dict[str, Any]
Results = Sequence[
    tuple[float, bool]
]  # of each alternative: log-likelihood in nats, and whether it is the greedy text


@dataclass(frozen=True)
class WrittenCode:
    """Of items whose answer is a program: the strings that end it, and (item, what is written) to the program."""

    stops: Callable[[Item], list[str]]
    program: Callable[[Item, str], str]


@dataclass(frozen=True)
class ItemKind:
    """A kind of item as it is once it is read; it is scored by the log-likelihoods of its alternatives.

    fields: what an item must have beside `text`. alternatives: the field that lists them; beside: the field of the
    text that each of them follows or precedes. text: the item with its right answer, as a document would hold it.
    harness: `doc_to_text`, `doc_to_choice` and `doc_to_target` of lm-evaluation-harness. score: (item, results) to
    values by metric, of `bits_per_byte` (nats, bytes). answered: (item, results, metric) to what the model chose or
    wrote, and what is right. guess: accuracy of guessing among so many alternatives; None: nobody guesses it. code: of
    items that a program answers, what is run where that is asked for.
    """

    name: str
    line: str
    fields: tuple[str, ...]
    alternatives: str
    beside: str
    text: Callable[[Item], str]
    harness: Mapping[str, Callable[[Item], Any]]
    score: Callable[[Item, Results], dict[str, Any]]
    metrics: tuple[str, ...]
    answered: Callable[[Item, Results, str], tuple[str, str]]
    guess: Callable[[int], float] | None = None
    code: WrittenCode | None = None

    def options(self, item: Item) -> list[str]:
        """The alternatives of an item."""
        return item[self.alternatives]


def is_right(options: Sequence[str], chosen: int, right: int) -> bool:
    """Whether the chosen option is the right one, or says the same: it may stand there twice."""
    return chosen == right or options[chosen].strip() == options[right].strip()


def likeliest(values: Sequence[float]) -> int:
    """The place of the highest value, the first of equals. Raises ValueError where one is NaN."""
    if np.isnan(values).any():
        raise ValueError(f"log-likelihoods {list(values)}: one is not a number, so none is the highest")
    return int(np.argmax(values))


def one_of(number: int) -> float:
    """Accuracy of a guess among so many alternatives of which one is right."""
    return 1 / number


def utf8_bytes(text: str) -> int:
    """Bytes of a text, lone surrogates as they are."""
    return len(text.encode("utf-8", "surrogatepass"))
