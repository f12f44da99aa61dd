"""A collection of instructions: folders of JSON lines, each file a task, its folder the category, unless rows say so.

A row holds `messages`, or a question and its answer; and, where it has them, `task`, `category` and `template`. Several
templates of one task are rows of that task: what counts tasks or caps them counts a task once, however it is worded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.sources.chat_template import ASSISTANT, check_dialogue
from tasks.tables.reading import table_of

ASKED = ("prompt", "instruction", "question", "input")
ANSWERED = ("response", "output", "answer", "completion")
ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")


@dataclass(frozen=True)
class Example:
    """One dialogue of a task. place: file and row, for messages to the user."""

    task: str
    category: str
    template: str
    messages: tuple[dict[str, str], ...]
    place: str

    @property
    def text(self) -> str:
        """All that is said in it."""
        return "\n".join(message["content"] for message in self.messages)


def read_collection(folder: Path, setting: str) -> dict[str, list[Example]]:
    """Task -> its examples, in the order of the names. Folders in the folder are read too.

    Raises ValueError by file and row for rows that are no dialogue, and a task of two categories; and for a folder
    without any.
    """
    if not folder.is_dir():
        raise ValueError(f"{setting} {folder}: no such folder")
    files = sorted(
        path for path in folder.rglob("*") if path.name.lower().endswith(ENDINGS) and path.is_file()
    )
    if not files:
        raise ValueError(f"{setting} {folder}: no file in it ends in {', '.join(ENDINGS)}")
    found: dict[str, list[Example]] = {}
    for path in files:
        for example in _examples(path, folder):
            before = found.setdefault(example.task, [])
            if before and before[0].category != example.category:
                raise ValueError(
                    f"{example.place}: task {example.task!r} is of category {example.category!r} here and of "
                    f"{before[0].category!r} at {before[0].place}; a task has one"
                )
            before.append(example)
    return dict(sorted(found.items()))


def _examples(path: Path, folder: Path) -> Iterator[Example]:
    inner = path.parent.relative_to(folder).parts
    stem = path.name[: path.name.lower().index(".jsonl")]
    for place, row in table_of(path, "instructions").rows:
        where = f"{path} {place}"
        messages = _messages(row, where)
        check_dialogue(messages, where)
        if messages[-1]["role"] != ASSISTANT:
            raise ValueError(
                f"{where}: ends with a {messages[-1]['role']} message; the last must be an answer"
            )
        yield Example(
            task=str(row.get("task") or stem),
            category=str(row.get("category") or (inner[0] if inner else stem)),
            template=str(row.get("template") or ""),
            messages=tuple(messages),
            place=where,
        )


def _messages(row: Mapping[str, Any], where: str) -> list[dict[str, str]]:
    told = row.get("messages")
    if told is not None:
        told = json.loads(told) if isinstance(told, str) else told
        if not isinstance(told, list) or not all(isinstance(m, Mapping) for m in told):
            raise ValueError(f"{where}: messages: must be a list of {{role, content}}")
        return [{"role": str(m.get("role")), "content": str(m.get("content") or "")} for m in told]
    asked, answered = (next((n for n in names if n in row), None) for names in (ASKED, ANSWERED))
    if asked is None or answered is None:
        raise ValueError(
            f"{where}: neither messages nor one of {', '.join(ASKED)} with one of {', '.join(ANSWERED)}; columns are "
            f"{', '.join(row)}"
        )
    said = ("" if row[name] is None else str(row[name]) for name in (asked, answered))
    return [{"role": role, "content": text} for role, text in zip(("user", ASSISTANT), said, strict=True)]
