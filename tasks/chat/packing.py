"""Dialogues as the rows that the loop reads: whole dialogues packed into sequences, or one a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.chat.dialogue_lines import Example
from tasks.sources.chat_template import ASSISTANT, encoded
from tasks.training.objectives.answer_tokens import DOCUMENTS, LABELS, NOT_LEARNT, PADDING, TOKENS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OPEN_ROWS = 64  # that a dialogue is tried to be put into, the oldest first


@dataclass(frozen=True)
class Tokens:
    """A dialogue's tokens, and what of them is learnt: the token itself, or NOT_LEARNT."""

    tokens: list[int]
    labels: list[int]


def tokens_of(tokenizer: PreTrainedTokenizerBase, example: Example, length: int) -> Tokens:
    """The first token of an answer is learnt, and the end of its turn; of a document all but its first token, and the
    end of text.

    Raises ValueError for a dialogue or document of more than `length` tokens.
    """
    if example.document:
        tokens = tokenizer(example.document, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        tokens = [*tokens, tokenizer.eos_token_id]
        _check_length(tokens, example, length)
        return Tokens(tokens, [NOT_LEARNT, *tokens[1:]])
    dialogue = encoded(tokenizer, example.messages)
    _check_length(dialogue.tokens, example, length)
    learnt = [
        number >= example.learn_from and example.messages[number]["role"] == ASSISTANT
        for number in dialogue.said
    ]
    labels = [token if is_one else NOT_LEARNT for token, is_one in zip(dialogue.tokens, learnt, strict=True)]
    return Tokens(dialogue.tokens, labels)


def _check_length(tokens: Sequence[int], example: Example, length: int) -> None:
    if len(tokens) > length:
        raise ValueError(
            f"{example.where}: {len(tokens)} tokens are more than the {length} of a sequence "
            "(training.sequence_length); allowed: a shorter dialogue or text, or longer sequences"
        )


def rows_of(dialogues: Sequence[Tokens], length: int, packed: bool, fill: int) -> np.ndarray:
    """int64 (rows, 3, length): tokens, labels and number of the document of each; padded with the token `fill`.

    Raises ValueError where nothing of a row would be learnt, which would be a loss of 0 over nothing.
    """
    rows: list[list[Tokens]] = []
    room: list[int] = []
    for dialogue in dialogues:
        size = len(dialogue.tokens)
        first = max(0, len(rows) - OPEN_ROWS)
        place = next((i for i in range(first, len(rows)) if room[i] >= size), None) if packed else None
        if place is None:
            rows.append([])
            room.append(length)
            place = len(rows) - 1
        rows[place].append(dialogue)
        room[place] -= size
    found = np.full((len(rows), 3, length), NOT_LEARNT, np.int64)
    found[:, TOKENS], found[:, DOCUMENTS] = fill, PADDING
    for number, row in enumerate(rows):
        begin = 0
        for document, dialogue in enumerate(row):
            end = begin + len(dialogue.tokens)
            found[number, TOKENS, begin:end] = dialogue.tokens
            found[number, LABELS, begin:end] = dialogue.labels
            found[number, DOCUMENTS, begin:end] = document
            begin = end
    silent = np.flatnonzero((found[:, LABELS, 1:] == NOT_LEARNT).all(axis=1))
    if silent.size:
        raise ValueError(f"row {silent[0]}: nothing of it is learnt; allowed: dialogues with an answer")
    return found
