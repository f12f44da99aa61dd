"""A list of choices and the place of the right one, after a question, a context, a premise or a sentence."""

from __future__ import annotations

import re

from tasks.benchmarks.kinds import choice
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes.row_shape import INTEGER, PROMPT_FIELDS, STRING_LIST, Row, RowShape
from tasks.benchmarks.row_shapes.row_texts import (
    before,
    choices_and_answer,
    front_and_prompt,
    joined,
    question_choice,
    spaced,
    string,
)

CONNECTIVES = {"cause": "because", "effect": "so"}
BLANK = re.compile(r"(?<![A-Za-z0-9_])_+(?![A-Za-z0-9_])")


def _item(row: Row) -> Item:
    choices, answer = choices_and_answer(row)
    if "premise" in row and row.get("question") in CONNECTIVES:
        return _cause_or_effect(row, choices, answer)
    front, prompt, prompt_field = front_and_prompt(row)
    if prompt_field == "question":
        return question_choice(front, prompt, choices, answer)
    context = before(front) + prompt
    if prompt_field == "sentence" and (blank := BLANK.search(context)):
        head, tail = context[: blank.start()].rstrip(), context[blank.end() :]
        filled = [spaced(head, choice + choice.join(BLANK.split(tail))) for choice in choices]
        return {"context": head, "choices": filled, "answer": answer}
    return {"context": context, "choices": [spaced(context, choice) for choice in choices], "answer": answer}


def _cause_or_effect(row: Row, choices: list[str], answer: int) -> Item:
    premise = string(row, "premise").strip()
    if string(row, "lang") not in ("", "en"):
        return {"context": premise, "choices": [spaced(premise, c) for c in choices], "answer": answer}
    context = f"{premise.rstrip('.')} {CONNECTIVES[row['question']]}"
    continued = [" " + _inside_a_sentence(choice) for choice in choices]
    return {
        "context": context,
        "choices": continued,
        "answer": answer,
        "text": joined(premise, choices[answer]),
    }


def _inside_a_sentence(text: str) -> str:
    return text if re.match(r"I\b", text) else text[0].lower() + text[1:]


SHAPE = RowShape(
    "choices",
    "which of the choices answers the question or goes on from the text",
    choice.KIND,
    _item,
    fields={"choices": STRING_LIST, "answer_idx": INTEGER},
    with_one_of=PROMPT_FIELDS,
)
