"""Texts of a row as items hold them: clean, put together in one way for all shapes, refused where they are none."""

from __future__ import annotations

import json

from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes.row_shape import PROMPT_FIELDS, Row

FRONT_FIELDS = ("passage", "support")


def string(row: Row, field: str) -> str:
    """A field's text; empty where an optional field is absent or null."""
    value = row.get(field)
    if value is None and field in (*FRONT_FIELDS, "lang"):
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{field} is {shown(value)}; allowed: a string")
    return clean(value)


def shown(value: object, characters: int = 80) -> str:
    """A value as JSON, cut to so many characters."""
    return json.dumps(value)[:characters]


def clean(text: str) -> str:
    """The text without the lone surrogates that JSON escapes can give."""
    return text.encode("utf-8", "replace").decode("utf-8")


def choices_and_answer(row: Row) -> tuple[list[str], int]:
    """`choices` and `answer_idx`, the place of the right one; ValueError for what is none."""
    choices, answer = row["choices"], row["answer_idx"]
    if not isinstance(choices, list) or len(choices) < 2:
        raise ValueError(f"choices is {shown(choices)}; allowed: a list of at least two strings")
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise ValueError(f"choices is {shown(choices, 200)}; allowed: strings that are not empty")
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        raise ValueError(f"answer_idx is {shown(answer)}; allowed: 0 to {len(choices) - 1}")
    return [clean(choice).strip() for choice in choices], answer


def spaced(context: str, continuation: str) -> str:
    """The continuation with a blank in front where the context has none at its end."""
    return continuation if not context or context[-1].isspace() else " " + continuation


def joined(*parts: str) -> str:
    """The parts that hold text, with blanks between."""
    return " ".join(part.strip() for part in parts if part.strip())


def front_and_prompt(row: Row) -> tuple[str, str, str]:
    """(text in front, prompt, field of the prompt); what stands beside a question goes in front."""
    prompt_field = next(field for field in PROMPT_FIELDS if field in row)
    others = [field for field in PROMPT_FIELDS if field in row and field != prompt_field]
    front = [string(row, field).strip() for field in (*FRONT_FIELDS, *others) if field in row]
    prompt = string(row, prompt_field).strip()
    if not prompt:
        raise ValueError(f"{prompt_field} is empty; allowed: a string with text")
    return "\n\n".join(part for part in front if part), prompt, prompt_field


def before(front: str) -> str:
    """The text in front with the gap that sets it apart from what follows; empty where there is none."""
    return front + "\n\n" if front else ""


def question_context(front: str, question: str) -> str:
    """The context of every question."""
    return before(front) + f"Question: {question}\nAnswer:"


def question_choice(front: str, question: str, choices: list[str], answer: int) -> Item:
    """A choice item that asks a question."""
    return {
        "context": question_context(front, question),
        "choices": [" " + choice for choice in choices],
        "answer": answer,
        "text": joined(front, question, choices[answer]),
    }
