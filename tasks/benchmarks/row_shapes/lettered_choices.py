"""A question with its choices in fields of their own, A, B, ... up to J, and the letter or text of the right one."""

from __future__ import annotations

from tasks.benchmarks.kinds import choice
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes import question_answer
from tasks.benchmarks.row_shapes.row_shape import NarrowerShape, Row
from tasks.benchmarks.row_shapes.row_texts import clean, front_and_prompt, question_choice, shown

LETTERS = "ABCDEFGHIJ"


def _letters(row: Row) -> str:
    """The letters that a row has a choice for; a field that is null counts for none."""
    return "".join(letter for letter in LETTERS if row.get(letter) is not None)


def _item(row: Row) -> Item:
    letters = _letters(row)
    if len(letters) < 2 or not LETTERS.startswith(letters):
        raise ValueError(
            f"choices are {', '.join(letters) or 'none'}; allowed: A, B and so on to J, without gaps"
        )
    choices = [_choice(row, letter) for letter in letters]
    front, question, _ = front_and_prompt(row)
    return question_choice(front, question, choices, _right(row["answer"], letters, choices))


def _choice(row: Row, letter: str) -> str:
    text = row[letter]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{letter} is {shown(text)}; allowed: a string with text")
    return clean(text).strip()


def _right(answer: object, letters: str, choices: list[str]) -> int:
    """The place of the right choice: that of the letter, and of the choice with that text."""
    told = clean(answer).strip() if isinstance(answer, str) else None
    meant = [
        place
        for place, (letter, text) in enumerate(zip(letters, choices, strict=True))
        if told is not None and (told.upper() == letter or told == text)
    ]
    if len(meant) != 1:
        fits = f", which fits {' and '.join(letters[place] for place in meant)}" if meant else ""
        raise ValueError(
            f"answer is {shown(answer)}{fits}; allowed: a letter from A to {letters[-1]}, or the text of exactly one "
            "choice"
        )
    return meant[0]


SHAPE = NarrowerShape(
    "lettered-choices",
    "which of the choices A, B, ... answers the question",
    choice.KIND,
    _item,
    of=question_answer.SHAPE,
    holds=lambda typical, rows: any("A" in row and "B" in row for row in rows),
)
