"""A collection of instructions: folders of JSON lines, each file a task, its folder the category, unless rows say so.

A row holds `messages`, or a question and its answer; and, where it has them, `task`, `category` and `template`. Several
templates of one task are rows of that task: what counts tasks or caps them counts a task once, however it is worded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.sources.chat_template import ASSISTANT
from tasks.sources.dialogue_rows import messages_of, rows_of_lines

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")


@dataclass(frozen=True)
class Example:
    """One dialogue of a task, or a document, without messages. place: file and line, for messages to the user."""

    task: str
    category: str
    template: str
    messages: tuple[dict[str, str], ...]
    place: str
    document: str = ""

    @property
    def text(self) -> str:
        """All that is said in it."""
        return self.document or "\n".join(message["content"] for message in self.messages)


def read_collection(folder: Path, setting: str) -> dict[str, list[Example]]:
    """Task -> its examples, in the order of the names. Folders in the folder are read too.

    Raises ValueError by file and line for rows that are no dialogue, and a task of two categories; and for a folder
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
    for where, row in rows_of_lines(path):
        messages = messages_of(row, where)
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
