"""Knows the shape of benchmark rows by their fields and by the types of these.

A file's shape is that of the first of its rows that has one, among its first rows. Fields alone say to which
shape a row was meant to belong: a row that has them with values of other types is broken.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.benchmarks.row_shapes import SHAPES
from tasks.benchmarks.row_shapes.row_shape import NarrowerShape, Row, RowShape

FIRST_ROWS = 20
JSON_TYPES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "list",
    dict: "object",
    type(None): "null",
}
BY_FIELDS = [shape for shape in SHAPES if isinstance(shape, RowShape)]
NARROWER = [shape for shape in SHAPES if isinstance(shape, NarrowerShape)]
LOOKED_FOR = "; ".join(shape.looked_for() for shape in BY_FIELDS)


def shape_by_fields(row: Row) -> RowShape | None:
    """The first shape that a row's fields belong to; None: no known one."""
    return next((shape for shape in BY_FIELDS if shape.has_fields(row)), None)


def typical_row(rows: Sequence[Row]) -> tuple[Row, RowShape] | None:
    """The first of a file's first rows whose fields and types make a known shape, and that; None: there is none."""
    for row in rows[:FIRST_ROWS]:
        shape = shape_by_fields(row)
        if shape is not None and shape.has_types(row):
            return row, shape
    return None


def narrowed(shape: RowShape, typical: Row, rows: Sequence[Row]) -> RowShape | NarrowerShape:
    """The narrower shape that a file's rows have, or their shape where there is none."""
    return next((one for one in NARROWER if one.of is shape and one.holds(typical, rows)), shape)


def described_fields(row: Row) -> str:
    """A row's fields with their types, as a warning names them."""
    return ", ".join(f"{field} ({JSON_TYPES[type(row[field])]})" for field in sorted(row))
