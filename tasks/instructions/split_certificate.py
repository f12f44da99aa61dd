"""How far each task that a model is tested on stands from what it was taught, derived and not typed in.

Levels of OPT-IML (Iyer et al. 2022, arXiv 2212.12017): `held-out category`, no task of its category was taught;
`held-out task`, the category was and the task was not; `held-out instance`, the task was and none of its items. What
an item shares with a taught example, thirteen words in a row or the whole of it (Brown et al. 2020), counts against it,
but for words that several items of the task have, which are its template's: where more than a hundredth of the items is
found so, the task is `leaked`. A task that chose the data (utility saw its dev items, or a tuning) is `seen`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.instructions.collections import Example
from tasks.sources.decontamination import SHORTEST, words_of

CATEGORY, TASK, INSTANCE = "held-out category", "held-out task", "held-out instance"
LEAKED, SEEN = "leaked", "seen"
WINDOW = 13
MOST_SHARE = 0.01  # of a task's items: above it OPT-IML looked at pairs by hand


@dataclass(frozen=True)
class Tested:
    """A task that is tested: its level, items, those that were taught word for word, and those that overlap with taught
    examples, by the task that these are of."""

    task: str
    category: str
    level: str
    items: int
    same: int
    overlapping: int
    by_taught: dict[str, int]

    def row(self) -> dict[str, Any]:
        told = {"task": self.task, "category": self.category, "level": self.level, "items": self.items}
        most = max(self.by_taught.items(), key=lambda pair: pair[1], default=("", 0))
        worst = {"most_with": most[0], "items_with_it": most[1]}
        return {**told, "taught_whole": self.same, "overlapping": self.overlapping, **worst}


def certificate(
    taught: Mapping[str, Sequence[Example]],
    tested: Mapping[str, Sequence[Example]],
    chose: Collection[str] = (),
    window: int = WINDOW,
) -> list[Tested]:
    """Every tested task, by its name. chose: tasks whose items the mixture, utility or a tuning saw."""
    categories = {examples[0].category for examples in taught.values()}
    wholes = {_plain(example.text) for examples in taught.values() for example in examples}
    windows = _Windows(tested, window)
    overlaps: dict[tuple[str, int], set[str]] = {}
    for other, examples in taught.items():
        for example in examples:
            for item in windows.found_in(example.text):
                overlaps.setdefault(item, set()).add(other)
    found = []
    for task, examples in tested.items():
        same = [_plain(example.text) in wholes for example in examples]
        with_taught = [overlaps.get((task, number), set()) for number in range(len(examples))]
        by_taught: dict[str, int] = {}
        for others in with_taught:
            for other in sorted(others):
                by_taught[other] = by_taught.get(other, 0) + 1
        overlapping = sum(bool(others) or is_same for others, is_same in zip(with_taught, same, strict=True))
        category = examples[0].category
        level = CATEGORY if category not in categories else TASK if task not in taught else INSTANCE
        if overlapping > MOST_SHARE * len(examples):
            level = LEAKED
        if task in chose:
            level = SEEN
        found.append(Tested(task, category, level, len(examples), sum(same), overlapping, by_taught))
    return found


class _Windows:
    """Word windows that one item alone of its task has, found in texts."""

    def __init__(self, tested: Mapping[str, Sequence[Example]], window: int) -> None:
        self._items: dict[tuple[str, ...], list[tuple[str, int]]] = {}
        for task, examples in tested.items():
            own: dict[tuple[str, ...], int | None] = {}
            for number, example in enumerate(examples):
                words = words_of(example.text)
                size = min(window, len(words))
                if size < SHORTEST:
                    continue
                for words_in_a_row in {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}:
                    own[words_in_a_row] = None if words_in_a_row in own else number
            for words_in_a_row, item in own.items():
                if item is not None:
                    self._items.setdefault(words_in_a_row, []).append((task, item))
        self._sizes = sorted({len(words) for words in self._items})

    def found_in(self, text: str) -> set[tuple[str, int]]:
        """(task, number of the item) of every item that shares a window with the text."""
        words = words_of(text)
        found: set[tuple[str, int]] = set()
        for size in self._sizes:
            for at in range(len(words) - size + 1):
                found.update(self._items.get(tuple(words[at : at + size]), ()))
        return found


def _plain(text: str) -> str:
    return " ".join(words_of(text))
