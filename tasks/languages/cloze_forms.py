"""Benchmarks in many languages as cloze forms: what the fields of a row are called, and what a template says with them.

An item's text is written once with each of its choices; the likelier whole text wins (arXiv 2112.10668, section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
TEXT = "text"
IDS = ("id", "idx", "story_id", "InputStoryid", "pairID", "guid")
LANGUAGES = ("lang", "language")


@dataclass(frozen=True)
class ClozeForm:
    """A benchmark as templates say it.

    variants: templates that a language has. fields: what each of them must hold, beside `choice`. labels: words for
    the choices that a template brings; 0 where items bring their own. item: row -> (variant, fields, choices, answer);
    ValueError for a row that is none.
    """

    name: str
    variants: tuple[str, ...]
    fields: tuple[str, ...]
    labels: int
    item: Callable[[Row], tuple[str, dict[str, str], tuple[str, ...], int]]


def _text(row: Row, *names: str) -> str:
    """The first of the fields that is there; ValueError where it is none with text."""
    for name in names:
        if name in row and row[name] is not None:
            if not isinstance(row[name], str) or not row[name].strip():
                raise ValueError(f"{name} is {row[name]!r}; allowed: text")
            return row[name].strip()
    raise ValueError(f"no field {' or '.join(names)}; the fields are {', '.join(sorted(row))}")


def _answer(row: Row, names: Mapping[str, Mapping[str, int]]) -> int:
    """names: field -> what it holds -> place of the right choice."""
    for name, places in names.items():
        if row.get(name) is not None:
            told = str(row[name]).strip().lower()
            if told not in places:
                raise ValueError(f"{name} is {row[name]!r}; allowed: {', '.join(places)}")
            return places[told]
    raise ValueError(f"no field {' or '.join(names)}; the fields are {', '.join(sorted(row))}")


def _xcopa(row: Row) -> tuple[str, dict[str, str], tuple[str, ...], int]:
    question = _text(row, "question")
    if question not in ("cause", "effect"):
        raise ValueError(f"question is {question!r}; allowed: cause, effect")
    choices = row.get("choices")
    if isinstance(choices, list) and len(choices) == 2 and all(isinstance(one, str) for one in choices):
        pair = (choices[0].strip(), choices[1].strip())
    else:
        pair = (_text(row, "choice1"), _text(row, "choice2"))
    answer = _answer(row, {"answer_idx": {"0": 0, "1": 1}, "label": {"0": 0, "1": 1}})
    return question, {"premise": _text(row, "premise")}, pair, answer


def _xstorycloze(row: Row) -> tuple[str, dict[str, str], tuple[str, ...], int]:
    sentences = {f"sentence{i}": _text(row, f"InputSentence{i}", f"input_sentence_{i}") for i in range(1, 5)}
    endings = tuple(_text(row, f"RandomFifthSentenceQuiz{i}", f"sentence_quiz{i}") for i in (1, 2))
    right = {"1": 0, "2": 1}
    answer = _answer(row, {"AnswerRightEnding": right, "answer_right_ending": right})
    return TEXT, sentences, endings, answer


def _xnli(row: Row) -> tuple[str, dict[str, str], tuple[str, ...], int]:
    told = {
        "premise": _text(row, "premise", "sentence1"),
        "hypothesis": _text(row, "hypothesis", "sentence2"),
    }
    names = {"entailment": 0, "neutral": 1, "contradiction": 2}
    answer = _answer(row, {"label": {"0": 0, "1": 1, "2": 2} | names, "gold_label": names})
    return TEXT, told, (), answer


def _pawsx(row: Row) -> tuple[str, dict[str, str], tuple[str, ...], int]:
    told = {name: _text(row, name) for name in ("sentence1", "sentence2")}
    return TEXT, told, (), _answer(row, {"label": {"0": 0, "1": 1}})


FORMS = {
    form.name: form
    for form in (
        ClozeForm("xcopa", ("cause", "effect"), ("premise",), 0, _xcopa),
        ClozeForm("xstorycloze", (TEXT,), tuple(f"sentence{i}" for i in range(1, 5)), 0, _xstorycloze),
        ClozeForm("xnli", (TEXT,), ("premise", "hypothesis"), 3, _xnli),
        ClozeForm("pawsx", (TEXT,), ("sentence1", "sentence2"), 2, _pawsx),
    )
}


def form_called(name: str) -> ClozeForm:
    if name not in FORMS:
        raise ValueError(f"form {name!r}: allowed: {', '.join(FORMS)}")
    return FORMS[name]
