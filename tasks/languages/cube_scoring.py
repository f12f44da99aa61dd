"""A model on a cube: of each item the choice whose whole text is likeliest, each block of demonstrations read once.

    margin of an item = log p(text with the right choice) - max over others of log p(text with it)

What all texts of an item begin with adds the same to each of them, so it is read and not scored. Texts are
tokenised whole: no merge across the border between demonstrations and item changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tasks.evaluation.model_reading import MOST_DIFFERENCE, Reading, drawn_items
from tasks.languages.cube import Cell, Cube

if TYPE_CHECKING:
    from tasks.evaluation.harness_model import HarnessModel
    from tasks.languages.parallel_items import ParallelItem

ASKED_AT_ONCE = 4096  # texts


@dataclass(frozen=True)
class Answered:
    """An item of a cell, and by how many nats the right choice is likelier than the likeliest other."""

    cell: Cell
    key: str
    margin: float
    options: int

    @property
    def right(self) -> bool:
        """A tie is no right answer: a model that cannot tell the choices apart has not chosen."""
        return self.margin > 0


@dataclass(frozen=True)
class Speed:
    """Items a second, with what texts begin with alike read once, and read whole; and how far the scores differ.

    None where nothing was read whole, or the model cannot share.
    """

    items_per_second: float
    plain_items_per_second: float | None
    checked: int
    most_nats: float | None


def score_cube(
    model: Any,
    tokenizer: Any,
    cube: Cube,
    reading: Reading = Reading(),
    max_length: int | None = None,
    fraction: Callable[[float], None] = lambda done: None,
) -> tuple[list[Answered], Speed]:
    """Every item of every cell answered. fraction: told how much is done.

    Raises ValueError where a text is longer than the model reads, and where log-likelihoods of texts read whole differ
    by more than 1e-4 nats in float32.
    """
    from tasks.evaluation.harness_model import harness_model

    with harness_model(model, tokenizer, replace(reading, check=0), max_length) as wrapped:
        asked = [(cell, item) for cell in cube.cells for item in cube.tested[cell.test]]
        _check_lengths(wrapped, cube, asked)
        began, answers = time.monotonic(), list[Answered]()
        for part in _parts(asked):
            answers += _answered(wrapped, cube, part)
            fraction(len(answers) / len(asked))
        seconds = time.monotonic() - began
        return answers, _speed(wrapped, cube, asked, answers, seconds, reading.check)


def _parts(asked: Sequence[tuple[Cell, ParallelItem]]) -> Iterator[list[tuple[Cell, ParallelItem]]]:
    """Whole blocks together, as many as make some thousand texts."""
    part: list[tuple[Cell, ParallelItem]] = []
    for _, own in groupby(asked, key=lambda pair: (*pair[0][:2], *pair[0][3:])):
        part += own
        if len(part) >= ASKED_AT_ONCE // 2:
            yield part
            part = []
    if part:
        yield part


def _answered(wrapped: HarnessModel, cube: Cube, part: Sequence[tuple[Cell, ParallelItem]]) -> list[Answered]:
    tokens, counts = _tokens(wrapped, cube, part)
    pairs: list[tuple[list[int], list[int]]] = []
    at = 0
    for count in counts:
        own = tokens[at : at + count]
        shared = _common(own)
        pairs += [(row[:shared], row[shared:]) for row in own]
        at += count
    nats = wrapped.token_loglikelihoods(pairs)
    found, at = [], 0
    for (cell, item), count in zip(part, counts, strict=True):
        own_nats = nats[at : at + count]
        others = [value for place, value in enumerate(own_nats) if place != item.answer]
        found.append(Answered(cell, item.key, own_nats[item.answer] - max(others), count))
        at += count
    return found


def _tokens(
    wrapped: HarnessModel, cube: Cube, part: Sequence[tuple[Cell, ParallelItem]]
) -> tuple[list[list[int]], list[int]]:
    """The tokens of each item's texts, each after the token that begins documents; and how many texts an item has."""
    blocks: dict[Cell, str] = {}
    texts, counts = [], []
    for cell, item in part:
        if cell not in blocks:
            blocks[cell] = cube.block(cell)
        said = cube.asked(cell, item)
        texts += [blocks[cell] + text for text in said]
        counts.append(len(said))
    encoded = wrapped.tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [[wrapped.prefix_token_id, *ids] for ids in encoded], counts


def _common(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all begin with, one less than the shortest at most: each has one to score."""
    shared = 0
    for shared in range(min(len(row) for row in rows)):
        if len({row[shared] for row in rows}) > 1:
            return shared
    return shared


def _check_lengths(wrapped: HarnessModel, cube: Cube, asked: Sequence[tuple[Cell, ParallelItem]]) -> None:
    """The longest texts in bytes are tokenised first: what is too long is refused before the model reads."""
    blocks = {cell: len(cube.block(cell).encode()) for cell in cube.cells}
    by_size = sorted(
        asked, key=lambda pair: -blocks[pair[0]] - max(len(text.encode()) for text in cube.asked(*pair))
    )
    tokens, _ = _tokens(wrapped, cube, by_size[:64])
    longest = max(len(row) for row in tokens)
    if longest > wrapped.max_length + 1:
        raise ValueError(
            f"languages: with {max(cell.shots for cell in blocks)} shots a text has {longest:,} tokens, and the model "
            f"reads {wrapped.max_length:,}; allowed: fewer shots, or a model that reads more"
        )


def _speed(
    wrapped: HarnessModel,
    cube: Cube,
    asked: Sequence[tuple[Cell, ParallelItem]],
    answers: Sequence[Answered],
    seconds: float,
    check: int,
) -> Speed:
    rate = len(asked) / max(seconds, 1e-9)
    if not check or not wrapped.shares_prefixes:
        return Speed(rate, None, 0, None)
    drawn = drawn_items([(str(tuple(one.cell)), one.key) for one in answers], check)
    places = [at for at, one in enumerate(answers) if (str(tuple(one.cell)), one.key) in drawn]
    kept, wrapped.reading = wrapped.reading, replace(wrapped.reading, shared_prefixes=False, answers=None)
    try:
        began = time.monotonic()
        whole = _answered(wrapped, cube, [asked[at] for at in places])
        plain = len(places) / max(time.monotonic() - began, 1e-9)
    finally:
        wrapped.reading = kept
    most = max(abs(one.margin - answers[at].margin) for one, at in zip(whole, places, strict=True))

    if (
        str(wrapped.model.dtype) == "torch.float32" and not most <= 2 * MOST_DIFFERENCE
    ):  # of two log-likelihoods
        raise ValueError(
            f"languages: {len(places)} items read whole too differ by {most:.1e} nats; allowed: {2 * MOST_DIFFERENCE}"
        )
    return Speed(rate, plain, len(places), most)
