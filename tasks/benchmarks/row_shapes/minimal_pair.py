"""A good sentence and one that differs from it in little and is bad."""

from __future__ import annotations

from tasks.benchmarks.by_content import content_share
from tasks.benchmarks.kinds import choice
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes.row_shape import STRING, Row, RowShape
from tasks.benchmarks.row_shapes.row_texts import string


def _item(row: Row) -> Item:
    good, bad = string(row, "sentence_good").strip(), string(row, "sentence_bad").strip()
    if not good or not bad:
        raise ValueError("sentence_good or sentence_bad is empty; allowed: strings with text")
    # The good one's place varies with its text: a model to which all is equally likely must score one half.
    answer = int(content_share(good, "place") < 0.5)
    return {"context": "", "choices": [bad, good] if answer else [good, bad], "answer": answer, "text": good}


SHAPE = RowShape(
    "minimal-pair",
    "which of two whole sentences is likelier",
    choice.KIND,
    _item,
    fields={"sentence_good": STRING, "sentence_bad": STRING},
)
