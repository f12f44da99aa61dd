"""A question with its choices in fields such as option#1, choice1, option_a or a, b, c, and what says the right one.

The answer is the text of a choice, the name of its field, or what the fields are numbered with: 2 or "2" is the choice
in option#2, whatever its place.
"""

from __future__ import annotations

import re

from tasks.benchmarks.kinds import choice
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes import question_answer
from tasks.benchmarks.row_shapes.row_shape import NarrowerShape, Row
from tasks.benchmarks.row_shapes.row_texts import clean, front_and_prompt, question_choice, shown

LETTERS = "abcdefghij"
NUMBERED = re.compile(
    r"(option|opt|choice|alternative|candidate|ending)[\s_#.-]*([0-9]{1,2}|[a-j])", re.IGNORECASE
)
LETTERED = re.compile(r"(op|answer|ans)[\s_#.-]*([a-j])|()([a-j])", re.IGNORECASE)


def choice_fields(row: Row) -> dict[str, str]:
    """What the fields of a row's choices are numbered with -> the field, in that order; empty where there are none.

    Raises ValueError for choices of two kinds, gaps, and numbers that do not begin at 0 or 1.
    """
    kinds: dict[str, dict[str, str]] = {}
    for field in row:
        found = NUMBERED.fullmatch(field) or LETTERED.fullmatch(field)
        if found is None or row[field] is None:
            continue
        stem, number = [part.lower() for part in found.groups() if part is not None]
        kinds.setdefault(f"{stem} {number.isdigit()}", {})[number.lstrip("0") or number[:1]] = field
    several = [
        fields for fields in kinds.values() if {"a", "b"} <= fields.keys() or {"1", "2"} <= fields.keys()
    ]
    several += [fields for fields in kinds.values() if {"0", "1"} <= fields.keys() and fields not in several]
    if not several:
        return {}
    if len(several) > 1:
        raise ValueError(
            f"choices of two kinds: {', '.join(f for fields in several for f in fields.values())}"
        )
    found_fields = dict(sorted(several[0].items(), key=lambda pair: (len(pair[0]), pair[0])))
    numbers = list(found_fields)
    begin = int(numbers[0]) if numbers[0].isdigit() else 0
    wanted = [str(begin + i) if numbers[0].isdigit() else LETTERS[i] for i in range(len(numbers))]
    if numbers != wanted:
        raise ValueError(f"choices are {', '.join(found_fields.values())}; allowed: numbered without gaps")
    return found_fields


def _item(row: Row) -> Item:
    fields = choice_fields(row)
    if not fields:
        raise ValueError(f"it has no choices, as other rows have; its fields: {', '.join(sorted(row))}")
    choices = []
    for field in fields.values():
        if not isinstance(row[field], str) or not row[field].strip():
            raise ValueError(f"{field} is {shown(row[field])}; allowed: a string with text")
        choices.append(clean(row[field]).strip())
    front, question, _ = front_and_prompt(row)
    return question_choice(front, question, choices, _right(row["answer"], fields, choices))


def _right(answer: object, fields: dict[str, str], choices: list[str]) -> int:
    told = str(answer).strip() if isinstance(answer, str | int) and not isinstance(answer, bool) else None
    meant = set()
    if told is not None:
        number = told.lower().lstrip("0") or told[:1]
        letters = dict(zip(LETTERS, range(len(choices)), strict=False))
        places = {name: place for place, name in enumerate(fields)}
        meant = {place for place, text in enumerate(choices) if clean(told) == text}
        meant |= {place for place, field in enumerate(fields.values()) if told.lower() == field.lower()}
        meant |= {places[number]} if number in places else {letters[number]} if number in letters else set()
    if len(meant) != 1:
        names = list(fields.values())
        fits = f", which fits {' and '.join(names[place] for place in sorted(meant))}" if meant else ""
        raise ValueError(
            f"answer is {shown(answer)}{fits}; allowed: {', '.join(fields)}, one of {', '.join(names)}, or the text of "
            "exactly one choice"
        )
    return meant.pop()


SHAPE = NarrowerShape(
    "numbered-choices",
    "which of the choices in fields of their own (option#1, choice1, option_a) answers the question",
    choice.KIND,
    _item,
    of=question_answer.SHAPE,
    holds=lambda typical, rows: any(map(_has_choices, rows)),
)


def _has_choices(row: Row) -> bool:
    try:
        return bool(choice_fields(row)) and not ("A" in row and "B" in row)
    except ValueError:
        return True
