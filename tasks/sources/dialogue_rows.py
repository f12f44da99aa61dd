"""Dialogues as people keep them in JSON lines: {messages}, or a question and its answer under their usual names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.sources.chat_template import ASSISTANT, check_dialogue
from tasks.tables.json_lines import check_text, read_json_table

Message = dict[str, str]
ASKED = ("prompt", "instruction", "question", "input")
ANSWERED = ("response", "output", "answer", "completion")


def rows_of_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and line, object) of each line. Raises ValueError by file and line for what is no object."""
    for number, row in read_json_table(path):
        check_text(row, f"{path}:{number}")
        yield f"{path}, line {number}", row


def messages_of(row: Mapping[str, Any], where: str) -> list[Message]:
    """The messages of a row, as they are said; a list in JSON counts as the list.

    Raises ValueError for a row without any, and one whose messages are empty or do not take turns.
    """
    told = row.get("messages")
    if told is None:
        found = _asked_and_answered(row, where)
    else:
        found = [{"role": m["role"], "content": m["content"]} for m in _listed(told, where)]
    check_dialogue(found, where)
    return found


def _listed(told: Any, where: str) -> list[Mapping[str, str]]:
    listed = told
    if isinstance(told, str):
        try:
            listed = json.loads(told)
        except ValueError:
            listed = None
    if not isinstance(listed, list) or not all(_is_message(message) for message in listed):
        raise ValueError(f"{where}: messages: allowed: a list of objects with role and content, both text")
    return listed


def _is_message(message: object) -> bool:
    return isinstance(message, dict) and all(isinstance(message.get(k), str) for k in ("role", "content"))


def _asked_and_answered(row: Mapping[str, Any], where: str) -> list[Message]:
    found: list[Message] = []
    for role, names in (("user", ASKED), (ASSISTANT, ANSWERED)):
        name = next((name for name in names if row.get(name) is not None), None)
        if name is None:
            lacking = f"{names[0]} is missing" if found else f"neither messages nor one of {', '.join(ASKED)}"
            raise ValueError(
                f"{where}: {lacking}; allowed: messages, or one of {', '.join(ASKED)} with one of "
                f"{', '.join(ANSWERED)}; columns are {', '.join(row)}"
            )
        if not isinstance(row[name], str):
            raise ValueError(f"{where}: {name} is no text")
        if not row[name].strip():
            raise ValueError(f"{where}: {name} is empty")
        found.append({"role": role, "content": row[name]})
    return found
