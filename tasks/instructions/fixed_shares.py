"""Shares of a mix that are set and not solved: parts of the collection, and text as models are pretrained on.

OPT-IML (arXiv 2212.12017) adds 5% of pretraining text (gains up to 10%, losses from there on) and 1% of reasoning to a
solved mix, and leaves dialogue out, of which half a percent did harm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.instructions.collections import Example
from tasks.instructions.mixing import weights_of
from tasks.sources.readers import read_documents
from tasks.sources.settings import SourceSettings

TEXT = "text"  # category of text; its tasks are text/SOURCE
Collection = Mapping[str, Sequence[Example]]


@dataclass(frozen=True)
class Fixed:
    """shares: task or category -> its share of the mix; text: pieces of each source of text, `text_share` in all."""

    shares: Mapping[str, float] = field(default_factory=dict)
    text: Collection = field(default_factory=dict)
    text_share: float = 0.0

    @property
    def sum(self) -> float:
        return math.fsum([*self.shares.values(), self.text_share])


def text_pieces(sources: Sequence[SourceSettings], words: int, most: int) -> dict[str, list[Example]]:
    """Task -> the first pieces of `words` words of a source's documents, `most` at most. Whitespace is kept as it is.

    Raises ValueError for a source without a word.
    """
    found = {}
    for source in sources:
        pieces: list[Example] = []
        task = f"{TEXT}/{source.name}"
        for text in read_documents(source):
            for piece in _cut(text, words):
                if len(pieces) < most:
                    place = f"{task}, piece {len(pieces) + 1}"
                    pieces.append(Example(task, TEXT, "", (), place, document=piece))
            if len(pieces) >= most:
                break
        if not pieces:
            raise ValueError(f"{task}: there is no word in it")
        found[task] = pieces
    return found


def _cut(text: str, words: int) -> Iterator[str]:
    begin = count = 0
    inside = False
    for place, letter in enumerate(text):
        if letter.isspace():
            inside = False
        elif not inside:
            inside = True
            if count == words:
                yield text[begin:place].strip()
                begin, count = place, 0
            count += 1
    if count:
        yield text[begin:].strip()


def shares_with(
    collection: Collection, size: int, settings: Any, fixed: Fixed, utility: Any = None
) -> dict[str, float]:
    """Task, of text too -> share. What is not fixed is shared by the method, as the mix of it alone would be; within
    a fixed part, and within the text, by how many examples there are.

    Raises ValueError for a part that is not there, two that overlap, and shares that leave nothing or too much.
    """
    parts = {name: _part(collection, name) for name in fixed.shares}
    owner: dict[str, str] = {}
    for name, tasks in parts.items():
        for task in tasks:
            if owner.setdefault(task, name) != name:
                raise ValueError(
                    f"--fixed {name}: has the task {task}, which {owner[task]} has; a task has one share"
                )
    rest = {task: examples for task, examples in collection.items() if task not in owner}
    left = 1 - fixed.sum
    if bool(rest) != (left > 1e-9) or left < -1e-9:
        raise ValueError(
            f"--fixed, --text-share: {fixed.sum:g} in all, and {len(rest)} of {len(collection)} tasks have none; "
            "allowed: less than 1, or 1 where every task has one"
        )
    weights = _solved(rest, round(size * left), settings, utility, left) if rest else {}
    for name, share in fixed.shares.items():
        weights |= _by_size({task: collection[task] for task in parts[name]}, share)
    return weights | _by_size(fixed.text, fixed.text_share)


def _solved(rest: Collection, size: int, settings: Any, utility: Any, left: float) -> dict[str, float]:
    solved = weights_of(rest, size, settings, utility)
    return {task: weight * left for task, weight in solved.items()}


def _by_size(part: Collection, share: float) -> dict[str, float]:
    every = sum(len(examples) for examples in part.values())
    return {task: share * len(examples) / every for task, examples in part.items()}


def _part(collection: Collection, name: str) -> list[str]:
    """The task of that name, or the tasks of the category."""
    tasks = [name] if name in collection else [t for t, own in collection.items() if own[0].category == name]
    if not tasks:
        known = sorted({*collection, *(own[0].category for own in collection.values())})
        raise ValueError(f"--fixed {name}: no task or category of that name; allowed: {', '.join(known)}")
    return tasks
