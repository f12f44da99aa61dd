"""A question whose answer is true or false: a choice between yes and no."""

from __future__ import annotations

from tasks.benchmarks.kinds import choice
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes import question_answer
from tasks.benchmarks.row_shapes.row_shape import NarrowerShape, Row
from tasks.benchmarks.row_shapes.row_texts import front_and_prompt, question_choice, shown


def _item(row: Row) -> Item:
    if not isinstance(row["answer"], bool):
        raise ValueError(f"answer is {shown(row['answer'])}; allowed: true or false, as in other rows")
    front, question, _ = front_and_prompt(row)
    return question_choice(front, question, ["yes", "no"], 0 if row["answer"] else 1)


SHAPE = NarrowerShape(
    "yes-no",
    "whether the answer to the question is yes or no",
    choice.KIND,
    _item,
    of=question_answer.SHAPE,
    holds=lambda typical, rows: isinstance(typical["answer"], bool),
)
