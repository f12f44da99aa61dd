"""Dialogues and pairs from JSON lines, each refused by file and line where it cannot be learnt from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.preference.rating.strengths import STRONGEST
from tasks.sources.chat_template import ASSISTANT, check_dialogue
from tasks.sources.dialogue_rows import ASKED, Message, messages_of, rows_of_lines

HELPFULNESS, SAFETY = KINDS = ("helpfulness", "safety")  # of pairs: which reward model learns from one


@dataclass(frozen=True)
class Example:
    """A dialogue; of its answers those in messages from number `learn_from` on are learnt. Or a document, without
    messages, which is learnt whole. where: file and line.

    task, category, demonstrations: as `mixstitch instruct mix` tells them of its rows, where it does. safety: the
    prompt is tagged as one of safety.
    """

    messages: Sequence[Message]
    where: str
    learn_from: int = 0
    task: str = ""
    category: str = ""
    demonstrations: int = 0
    safety: bool = False
    document: str = ""

    def __post_init__(self) -> None:
        if self.document:
            return
        check_dialogue(self.messages, self.where)
        if not any(m["role"] == ASSISTANT for m in self.messages[self.learn_from :]):
            raise ValueError(f"{self.where}: there is no answer in it; nothing could be learnt")


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt, and how much better the chosen one is: 1 to 4, or between where votes were averaged.

    kind: HELPFULNESS or SAFETY. chosen_safe, rejected_safe: whether an answer is safe; None where that is not told.
    """

    prompt: str
    chosen: str
    rejected: str
    strength: float
    where: str
    kind: str = HELPFULNESS
    chosen_safe: bool | None = None
    rejected_safe: bool | None = None


def read_dialogues(path: Path) -> list[Example]:
    """Lines of {messages} or a question with its answer, and perhaps {learn_from, task, category, demonstrations,
    safety}; or of {text}, a document, with {task, category}."""
    return [_example(row, where) for where, row in _rows(path)]


def read_pairs(path: Path) -> list[Pair]:
    """Lines of {prompt, chosen, rejected, strength}, and perhaps {kind, chosen_safe, rejected_safe}.

    Raises ValueError for a strength out of range, an empty text, an answer against itself, a pair that stands twice
    in one kind, in either order, an unknown kind, and a safety pair whose unsafe answer is the better one.
    """
    found: list[Pair] = []
    seen: dict[tuple[str, str, frozenset[str]], str] = {}
    for where, row in _rows(path):
        prompt, chosen, rejected = (_text(row, name, where) for name in ("prompt", "chosen", "rejected"))
        if chosen.strip() == rejected.strip():
            raise ValueError(f"{where}: chosen and rejected are the same text")
        strength = _strength(row, where)
        kind = row.get("kind", HELPFULNESS)
        if kind not in KINDS:
            raise ValueError(f"{where}: kind is {kind!r}; allowed: {', '.join(KINDS)}")
        safe = [_told(row, name, where) for name in ("chosen_safe", "rejected_safe")]
        if kind == SAFETY and safe == [False, True]:
            raise ValueError(
                f"{where}: of a safety pair the unsafe answer is chosen; allowed: the safe one, or the kind "
                f"{HELPFULNESS}"
            )
        before = seen.setdefault((kind, prompt, frozenset((chosen, rejected))), where)
        if before != where:
            raise ValueError(f"{where}: this pair stands in {before} already")
        found.append(Pair(prompt, chosen, rejected, strength, where, kind, *safe))
    return found


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Raises ValueError for a file without a line, too."""
    is_empty = True
    for where, row in rows_of_lines(path):
        is_empty = False
        yield where, row
    if is_empty:
        raise ValueError(f"{path}: there is no line in it")


def _example(row: dict[str, Any], where: str) -> Example:
    task, category = (str(row.get(name) or "") for name in ("task", "category"))
    if "text" in row and all(row.get(name) is None for name in ("messages", *ASKED)):
        return Example((), where, 0, task, category, document=_text(row, "text", where))
    messages = messages_of(row, where)
    learn_from = row.get("learn_from", 0)
    if type(learn_from) is not int or not 0 <= learn_from < len(messages):
        raise ValueError(f"{where}: learn_from is {learn_from!r}; allowed: 0 to {len(messages) - 1}")
    demonstrations = row.get("demonstrations") or 0
    if type(demonstrations) is not int or demonstrations < 0:
        raise ValueError(f"{where}: demonstrations is {demonstrations!r}; allowed: a number from 0")
    safety = _told(row, "safety", where) or False
    return Example(messages, where, learn_from, task, category, demonstrations, safety)


def _told(row: dict[str, Any], name: str, where: str) -> bool | None:
    """Yes or no; None where the row does not tell."""
    told = row.get(name)
    if told is not None and not isinstance(told, bool):
        raise ValueError(f"{where}: {name} is {told!r}; allowed: true or false")
    return told


def _text(row: dict[str, Any], name: str, where: str) -> str:
    text = row.get(name)
    if not isinstance(text, str) or not text.strip():
        told = "missing" if name not in row else "empty" if isinstance(text, str) else "no text"
        raise ValueError(f"{where}: {name} is {told}; allowed: a text")
    return text


def _strength(row: dict[str, Any], where: str) -> float:
    strength = row.get("strength")
    is_number = isinstance(strength, int | float) and not isinstance(strength, bool)
    if not is_number or not 1 <= strength <= STRONGEST:  # type: ignore[operator]
        raise ValueError(
            f"{where}: strength is {strength!r}; allowed: 1 (negligibly better) to 4 (significantly better)"
        )
    return float(strength)  # type: ignore[arg-type]
