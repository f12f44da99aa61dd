"""Answers of models to prompts, as people will compare them: a table of item, prompt, model, answer, and category."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.preference.annotation.votes import WORDS
from tasks.tables.reading import not_empty, table_of
from tasks.tables.table import Table, as_text, column_named, plain

PROMPT, ANSWER = ("prompt", "question", "instruction"), ("answer", "response", "output", "completion")


@dataclass(frozen=True)
class Prompt:
    """item: its name. better, worse: of a gold prompt, two answers of which everybody should take the first."""

    item: str
    category: str
    prompt: str
    better: str = ""
    worse: str = ""

    @property
    def is_gold(self) -> bool:
        return bool(self.better)


@dataclass(frozen=True)
class Answer:
    """What a model says to an item's prompt."""

    item: str
    category: str
    prompt: str
    model: str
    answer: str


def read_prompts(path: Path, is_gold: bool = False) -> list[Prompt]:
    """Prompts of a table with `prompt`, and `item`, `category`; gold ones have `better` and `worse` too.

    Raises ValueError by file and row for what is empty, stands twice, or two gold answers that are the same text.
    """
    sheet = not_empty(table_of(path, "gold prompts" if is_gold else "prompts"))
    (prompt,) = _columns(sheet, PROMPT)
    item, category = column_named(sheet, ("item", "id")), column_named(sheet, ("category",))
    pair = _columns(sheet, ("better",), ("worse",)) if is_gold else []
    found: dict[str, Prompt] = {}
    for number, (place, row) in enumerate(sheet.rows):
        text = _text(sheet, place, row, prompt)
        name = as_text(row[item]) if item else f"{'gold' if is_gold else 'item'}-{number + 1:04d}"
        if not name or name in found:
            what = "empty" if not name else f"{name!r} stands twice"
            raise ValueError(
                f"{sheet.name} {place}, column {item!r}: {what}; each prompt needs a name of its own"
            )
        better, worse = (_text(sheet, place, row, column) for column in pair) if pair else ("", "")
        if pair and better == worse:
            raise ValueError(
                f"{sheet.name} {place}: better and worse are the same text; nobody could tell them apart"
            )
        found[name] = Prompt(name, as_text(row[category]) if category else "", text, better, worse)
    return list(found.values())


def read_answers(path: Path) -> list[Answer]:
    """Answers of a table with `prompt`, `model`, `answer`, and `item`, `category`; several models an item.

    Without `item` the prompt's own text names it. Raises ValueError by file and row for what is empty, an answer that
    stands twice, an item with two prompts, and a model whose name is a word for a vote; and for fewer than two models.
    """
    sheet = not_empty(table_of(path, "answers"))
    prompt, model, answer = _columns(sheet, PROMPT, ("model",), ANSWER)
    item, category = column_named(sheet, ("item", "id")), column_named(sheet, ("category",))
    found: dict[tuple[str, str], Answer] = {}
    prompts: dict[str, str] = {}
    for place, row in sheet.rows:
        text, name = _text(sheet, place, row, prompt), _text(sheet, place, row, model)
        at = as_text(row[item]) if item else text
        if prompts.setdefault(at, text) != text:
            raise ValueError(f"{sheet.name} {place}: item {at!r} has another prompt than before")
        if (at, name) in found:
            raise ValueError(f"{sheet.name} {place}: a second answer of {name!r} to item {at!r}")
        said = "" if row[answer] is None else str(row[answer])
        found[at, name] = Answer(at, as_text(row[category]) if category else "", text, name, said)
    check_models(sorted({answer.model for answer in found.values()}), sheet.name)
    return list(found.values())


def check_models(models: Sequence[str], where: str) -> None:
    """Raises ValueError for fewer than two models, and for a name that means something else in a table of votes."""
    words = [name for name in models if plain(name) in WORDS]
    if words:
        raise ValueError(
            f"{where}: a model called {words[0]!r} could not be told from a vote; give it another name"
        )
    if len(models) < 2:
        raise ValueError(
            f"{where}: answers of {', '.join(models) or 'no model'}; at least two models are compared"
        )


def write_answers(path: Path, answers: Sequence[Answer]) -> None:
    text = "".join(json.dumps(asdict(answer), ensure_ascii=False) + "\n" for answer in answers)
    path.write_text(text, encoding="utf-8")


def _columns(sheet: Table, *aliases: tuple[str, ...]) -> list[str]:
    found = [column_named(sheet, names) for names in aliases]
    lacking = [names[0] for names, column in zip(aliases, found, strict=True) if column is None]
    if lacking:
        raise ValueError(f"{sheet.name}: columns {lacking} are missing; columns are {sheet.columns}")
    return [column for column in found if column is not None]


def _text(sheet: Table, place: str, row: Mapping[str, object], column: str) -> str:
    text = as_text(row[column])
    if not text:
        raise ValueError(f"{sheet.name} {place}, column {column!r}: empty")
    return text
