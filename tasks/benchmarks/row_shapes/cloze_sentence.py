"""Choices for the blank (_) of a sentence that goes on after it: which makes its end likeliest."""

from __future__ import annotations

from tasks.benchmarks.kinds import cloze
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes import choices
from tasks.benchmarks.row_shapes.choices import BLANK
from tasks.benchmarks.row_shapes.row_shape import PROMPT_FIELDS, NarrowerShape, Row
from tasks.benchmarks.row_shapes.row_texts import before, choices_and_answer, front_and_prompt


def _has_cloze(row: Row) -> bool:
    """Whether the prompt is a sentence with one blank and text after it, which can be scored alone."""
    sentence = row.get("sentence")
    if not isinstance(sentence, str) or "choices" not in row or any(f in row for f in PROMPT_FIELDS[:3]):
        return False
    blanks = list(BLANK.finditer(sentence))
    return len(blanks) == 1 and bool(sentence[blanks[0].end() :].strip())


def _item(row: Row) -> Item:
    alternatives, answer = choices_and_answer(row)
    front, sentence, _ = front_and_prompt(row)
    blank = BLANK.search(sentence)
    assert blank is not None
    head = before(front) + sentence[: blank.start()]
    return {
        "contexts": [head + alternative for alternative in alternatives],
        "continuation": sentence[blank.end() :],
        "answer": answer,
    }


SHAPE = NarrowerShape(
    "cloze-sentence",
    "which of the choices, set into the blank of a sentence, makes what follows likeliest",
    cloze.KIND,
    _item,
    of=choices.SHAPE,
    holds=lambda typical, rows: all(map(_has_cloze, rows)),
)
