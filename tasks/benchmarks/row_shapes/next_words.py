"""A context and the words that come next in it (`target`)."""

from __future__ import annotations

from tasks.benchmarks.kinds import answer
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes.row_shape import STRING, Row, RowShape
from tasks.benchmarks.row_shapes.row_texts import string


def _item(row: Row) -> Item:
    context, target = string(row, "context").rstrip(), string(row, "target").strip()
    if not target or not context:
        raise ValueError("context or target is empty; allowed: strings with text")
    return {"context": context, "answers": [" " + target]}


SHAPE = RowShape(
    "next-words",
    "the words that come next",
    answer.KIND,
    _item,
    fields={"context": STRING, "target": STRING},
)
