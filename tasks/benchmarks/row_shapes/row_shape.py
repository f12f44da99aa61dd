"""What a shape of a user's rows says of itself: its fields and their types, and the item that a row becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.benchmarks.kinds.item_kind import Item, ItemKind

Row = dict[str, Any]
PROMPT_FIELDS = ("question", "context", "premise", "sentence")
# A question with these is not open: its answer is one of them, or stands beside them.
ALTERNATIVES = (
    *("choices", "options", "candidates", "alternatives", "endings", "answer_choices", "distractors"),
    *("incorrect_answers", "wrong_answers", "mc1_targets", "mc2_targets"),
    *(
        f"{name}{number}"
        for name in ("distractor", "incorrect_answer", "wrong_answer")
        for number in (1, "_1")
    ),
)


@dataclass(frozen=True)
class FieldType:
    """A type that a shape asks of a field: what one and several such fields are called, and whether a value has it."""

    one: str
    several: str
    has: Callable[[object], bool]


STRING = FieldType("string", "strings", lambda value: isinstance(value, str))
INTEGER = FieldType(
    "integer", "integers", lambda value: isinstance(value, int) and not isinstance(value, bool)
)
STRING_LIST = FieldType(
    "list of strings",
    "lists of strings",
    lambda value: isinstance(value, list) and all(isinstance(element, str) for element in value),
)
VALUE = FieldType(
    "string, number or boolean",
    "strings, numbers or booleans",
    lambda value: isinstance(value, str | int | float),
)


@dataclass(frozen=True)
class RowShape:
    """A shape of rows, known by fields and types.

    fields: that a row must have, with their types. with_one_of: a string among these fields, the first there;
    without: fields that a row must not have or that are null. item: the item, without id, of a row that has the
    fields; ValueError for values that are not allowed.
    """

    name: str
    line: str
    kind: ItemKind
    item: Callable[[Row], Item]
    fields: Mapping[str, FieldType] = field(kw_only=True)
    with_one_of: tuple[str, ...] = field(default=(), kw_only=True)
    without: tuple[str, ...] = field(default=(), kw_only=True)

    def has_fields(self, row: Row) -> bool:
        """Whether a row's fields, whatever their values, belong to this shape."""
        return (
            self.fields.keys() <= row.keys()
            and (not self.with_one_of or any(name in row for name in self.with_one_of))
            and all(row.get(name) is None for name in self.without)
        )

    def has_types(self, row: Row) -> bool:
        """Whether the values of a row that has the fields are of their types."""
        prompts = [name for name in self.with_one_of if name in row][:1]
        return all(kind.has(row[name]) for name, kind in self.fields.items()) and all(
            STRING.has(row[name]) for name in prompts
        )

    def looked_for(self) -> str:
        """Fields and types, as a warning names them."""
        types = list(dict.fromkeys(self.fields.values()))
        if len(types) == 1 and len(self.fields) > 1:
            told = f"{' + '.join(self.fields)} ({types[0].several})"
        else:
            told = " + ".join(f"{name} ({kind.one})" for name, kind in self.fields.items())
        if self.with_one_of:
            told += f" with one of {', '.join(self.with_one_of)} ({STRING.one})"
        return told + (f" without {' or '.join(self.without[:2])}" if self.without else "")


@dataclass(frozen=True)
class NarrowerShape:
    """What some files of a shape hold in all their rows, and what becomes of such rows instead.

    of: the shape that the rows are recognised as, and called in errors. holds: (typical row, all rows of the file)
    to whether they are of this kind. item: as of a shape.
    """

    name: str
    line: str
    kind: ItemKind
    item: Callable[[Row], Item]
    of: RowShape = field(kw_only=True)
    holds: Callable[[Row, Sequence[Row]], bool] = field(kw_only=True)
