"""A question and its answer, a text or a number, and other answers that are accepted (`aliases`)."""

from __future__ import annotations

import math

from tasks.benchmarks.kinds import answer
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes.row_shape import ALTERNATIVES, STRING, VALUE, Row, RowShape
from tasks.benchmarks.row_shapes.row_texts import clean, front_and_prompt, joined, question_context, shown


def _item(row: Row) -> Item:
    front, question, _ = front_and_prompt(row)
    gold = _answer_text(row["answer"])
    aliases = row.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise ValueError(f"aliases is {shown(aliases)}; allowed: a list of strings")
    accepted = dict.fromkeys([gold, *(clean(alias).strip() for alias in aliases if alias.strip())])
    return {
        "context": question_context(front, question),
        "answers": [" " + text for text in accepted],
        "text": joined(front, question, gold),
    }


def _answer_text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return clean(value).strip()
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(int(value)) if value == int(value) else str(value)
    raise ValueError(f"answer is {shown(value)}; allowed: a string with text or a number")


SHAPE = RowShape(
    "question-answer",
    "what the answer to the question is",
    answer.KIND,
    _item,
    fields={"question": STRING, "answer": VALUE},
    without=ALTERNATIVES,
)
