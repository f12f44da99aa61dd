"""Shapes of a user's benchmark rows, one file each, in the order in which a row is tried.

To add one: its file, and its line here.
"""

from tasks.benchmarks.row_shapes import (  # isort: skip
    choices,
    cloze_sentence,
    minimal_pair,
    question_answer,
    lettered_choices,
    numbered_choices,
    yes_no,
    next_words,
    code_with_tests,
    code_to_complete,
)
from tasks.benchmarks.row_shapes.row_shape import NarrowerShape, RowShape
from tasks.method import by_name, listed

SHAPES: tuple[RowShape | NarrowerShape, ...] = listed(globals(), "SHAPE")
SHAPES_BY_NAME = by_name(SHAPES)
