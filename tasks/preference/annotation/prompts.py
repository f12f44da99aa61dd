"""Prompts with a known answer from held-out text: a passage cut at a word, and the word that comes next.

Documents are taken from the end of a source's held-out text, as bits per byte reads its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.benchmarks.items import read_items
from tasks.evaluation.corpus import heldout_texts
from tasks.preference.settings import ProgrammaticSettings

AREA = "continuation"
MIN_ITEMS = 10
NEXT_WORD = re.compile(
    r"(?<=\S)\s+(\S+)(?=\s)"
)  # with a blank behind it: a text that is cut may end in a word


@dataclass(frozen=True)
class Prompt:
    """text: ends with a word; answer: the word after it. document: its place in the source's held-out text."""

    item: str
    category: str
    document: int
    text: str
    answer: str


def rule_and_argument(prompt: Prompt, letters: int | None) -> tuple[str, str]:
    """The rule of `programmatic.RULES` that judges a response, and its argument: the next word or its first letters."""
    return ("first_word", prompt.answer) if letters is None else ("starts_with", prompt.answer[:letters])


def corpus_prompts(
    corpus: Path, facts: dict[str, Any], settings: ProgrammaticSettings, bits_per_byte_bytes: int = 0
) -> tuple[list[Prompt], list[str]]:
    """Prompts of the corpus that lies in `corpus` and has the given facts, and notes; see `make_prompts`.

    bits_per_byte_bytes: of each source's held-out text that bits per byte reads.
    """
    documents = {
        source: [row["text"] for row in read_items(corpus / "heldout" / f"{source}.jsonl")]
        for source in facts["sources"]
    }
    read = heldout_texts(corpus, facts, bits_per_byte_bytes)
    return make_prompts(documents, settings, {source: len(texts) for source, texts in read.items()})


def make_prompts(
    documents: Mapping[str, Sequence[str]], settings: ProgrammaticSettings, read: Mapping[str, int]
) -> tuple[list[Prompt], list[str]]:
    """Prompts of each source, its category, and notes on the sources that give fewer than asked for.

    documents: held-out texts by source. read: how many at the beginning of a source bits per byte reads; the others
    come first, and several passages of them before any of those. A source that gives fewer than 10 is left out.
    """
    prompts: list[Prompt] = []
    notes = []
    for source, texts in documents.items():
        found = list(islice(_prompts_of(source, texts, read.get(source, 0), settings), settings.items))
        if len(found) < MIN_ITEMS:
            notes.append(
                f"{source}: left out, as its held-out text gives {len(found)} prompts of "
                f"{settings.prompt_characters} characters; at least {MIN_ITEMS} are needed."
            )
            continue
        if len(found) < settings.items:
            notes.append(f"{source}: its held-out text gives {len(found)} prompts of {settings.items}.")
        prompts += found
    return prompts, notes


def _prompts_of(
    source: str, texts: Sequence[str], read: int, settings: ProgrammaticSettings
) -> Iterator[Prompt]:
    """The first passage of each unread document from the last on, then their second ones; then of the read ones."""
    for places in (range(len(texts) - 1, read - 1, -1), range(min(read, len(texts)) - 1, -1, -1)):
        at_hand = {place: _passages(texts[place], settings.prompt_characters) for place in places}
        number = 0
        while at_hand:
            for place in list(at_hand):
                passage = next(at_hand[place], None)
                if passage is None:
                    del at_hand[place]
                else:
                    yield Prompt(f"{source}/{place}/{number}", source, place, *passage)
            number += 1


def _passages(text: str, characters: int) -> Iterator[tuple[str, str]]:
    """(passage, next word) again and again; a passage begins with the word that the one before it asks for."""
    start = 0
    while (found := NEXT_WORD.search(text, start + characters)) is not None:
        yield text[start : found.start()], found.group(1)
        start = found.start(1)
