"""The shapes of benchmark rows, known by their fields and by the types of these.

A file's shape is that of the first of its rows that has one, among its first rows. Fields alone say to which
shape a row was meant to belong: a row that has them with values of other types is broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

PROMPT_FIELDS = ("question", "context", "premise", "sentence")
ALTERNATIVES = ("choices", "options")  # a question with these is not open: its answer is one of them
FIRST_ROWS = 20
LOOKED_FOR = (
    f"choices (list of strings) + answer_idx (integer) with one of {', '.join(PROMPT_FIELDS)} (string); "
    "sentence_good + sentence_bad (strings); question (string) + answer (string, number or boolean) without "
    f"{' or '.join(ALTERNATIVES)}; context + target (strings)"
)
JSON_TYPES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "list",
    dict: "object",
    type(None): "null",
}
Row = dict[str, Any]
Shape = Literal["choices", "minimal-pair", "question-answer", "next-words"]


def shape_by_fields(row: Row) -> Shape | None:
    """The shape that a row's fields belong to; None: no known one."""
    if {"choices", "answer_idx"} <= row.keys() and any(field in row for field in PROMPT_FIELDS):
        return "choices"
    if {"sentence_good", "sentence_bad"} <= row.keys():
        return "minimal-pair"
    if {"question", "answer"} <= row.keys() and all(row.get(field) is None for field in ALTERNATIVES):
        return "question-answer"
    if {"context", "target"} <= row.keys():
        return "next-words"
    return None


def typical_row(rows: Sequence[Row]) -> Row | None:
    """The first of a file's first rows whose fields and types make a known shape; None: the file has none."""
    return next((row for row in rows[:FIRST_ROWS] if _has_types(row)), None)


def described_fields(row: Row) -> str:
    """A row's fields with their types, as a warning names them."""
    return ", ".join(f"{field} ({JSON_TYPES[type(row[field])]})" for field in sorted(row))


def _has_types(row: Row) -> bool:
    match shape_by_fields(row):
        case "choices":
            prompt = next(field for field in PROMPT_FIELDS if field in row)
            return _is_string_list(row["choices"]) and _is_index(row["answer_idx"]) and _strings(row, prompt)
        case "minimal-pair":
            return _strings(row, "sentence_good", "sentence_bad")
        case "question-answer":
            return _strings(row, "question") and isinstance(row["answer"], str | int | float)
        case "next-words":
            return _strings(row, "context", "target")
        case None:
            return False


def _strings(row: Row, *fields: str) -> bool:
    return all(isinstance(row[field], str) for field in fields)


def _is_string_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
