"""What the chat stage learns from, in one folder: made by rules or a user's own, checked before any training.

dialogues.jsonl, pairs.jsonl, heldout-pairs.jsonl, prompts.jsonl, heldout.jsonl, and the tokenizer with its template.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.chat.dialogue_lines import (
    HELPFULNESS,
    KINDS,
    SAFETY,
    Example,
    Pair,
    read_dialogues,
    read_pairs,
    write_lines,
)
from tasks.chat.made_instructions import MARKS, asked_to_end_with, check_counts, make_instructions
from tasks.chat.made_questions import Question, question_of, question_rows, questions
from tasks.chat.packing import rows_of, tokens_of
from tasks.chat.plain_template import with_template
from tasks.chat.ppo.trl_package import check_trl
from tasks.chat.rejection.generation_budget import spending_of
from tasks.chat.reward.learnt_pairs import check_kinds
from tasks.chat.reward.reward_pairs import pair_rows
from tasks.chat.settings import ChatSettings
from tasks.sources.chat_template import encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GIVEN = "given"  # kind of a question without a known answer
DIALOGUES, PAIRS, HELDOUT_PAIRS = "dialogues.jsonl", "pairs.jsonl", "heldout-pairs.jsonl"
PROMPTS, HELDOUT, TOKENIZER = "prompts.jsonl", "heldout.jsonl", "tokenizer"
TENTH = 10
SEPARATING = 4  # tokens that a template may write between an answer and the next turn


@dataclass(frozen=True)
class Instructions:
    """What lies in the folder, read."""

    folder: Path

    def dialogues(self) -> list[Example]:
        return read_dialogues(self.folder / DIALOGUES)

    def pairs(self, heldout: bool = False) -> list[Pair]:
        return read_pairs(self.folder / (HELDOUT_PAIRS if heldout else PAIRS))

    def questions(self, heldout: bool = False) -> list[Question]:
        """Those that rejection sampling answers, or those that models are compared on."""
        lines = (self.folder / (HELDOUT if heldout else PROMPTS)).read_text(encoding="utf-8").splitlines()
        return [question_of(json.loads(line)) for line in lines]

    def tokenizer(self) -> PreTrainedTokenizerBase:
        from tasks.sources.tokenization import load_tokenizer

        return load_tokenizer(self.folder / TOKENIZER)


def check_files(chat: ChatSettings) -> None:
    """Raises ValueError by file and line for what is wrong with the user's own files, before anything runs; and for
    fewer answers of rejection sampling than the prompts need."""
    check_counts(chat.made)
    if chat.ppo is not None:
        check_trl("chat.ppo")
    prompts = chat.made.prompts
    if chat.dialogues is not None:
        kept, _ = _split_dialogues(read_dialogues(chat.dialogues))
        prompts = len(_questions(kept))
    if chat.rejection.rounds:
        spending_of(chat.rejection, prompts)
    if chat.pairs is not None:
        pairs = read_pairs(chat.pairs)
        check_kinds(pairs, chat.reward.safety)
        for kind in KINDS if chat.reward.safety is not None else (HELPFULNESS,):
            _check_strengths(chat, [pair for pair in pairs if pair.kind == kind])


def write_instructions(
    folder: Path, chat: ChatSettings, tokenizer: PreTrainedTokenizerBase, length: int, random_seed: int
) -> dict[str, Any]:
    """Write the folder and return its facts. Raises ValueError by file and line for what does not fit the sequences."""
    with_template(tokenizer).save_pretrained(folder / TOKENIZER)
    made = make_instructions(chat.made, random_seed)
    write_lines(folder / PROMPTS, question_rows(made.prompts))
    write_lines(folder / HELDOUT, question_rows(made.heldout))
    if chat.dialogues is None:
        write_lines(folder / DIALOGUES, made.dialogues)
        examples = read_dialogues(folder / DIALOGUES)
    else:
        examples, heldout = _split_dialogues(read_dialogues(chat.dialogues))
        write_lines(folder / DIALOGUES, [_row(example) for example in examples])
        write_lines(folder / PROMPTS, _questions(examples))
        write_lines(folder / HELDOUT, _questions(heldout))
    if chat.pairs is None:
        write_lines(folder / PAIRS, made.pairs)
        write_lines(folder / HELDOUT_PAIRS, made.heldout_pairs)
        pairs, heldout_pairs = (read_pairs(folder / name) for name in (PAIRS, HELDOUT_PAIRS))
    else:
        every = read_pairs(chat.pairs)
        pairs = [pair for pair in every if not _is_heldout(pair.prompt)]
        heldout_pairs = [pair for pair in every if _is_heldout(pair.prompt)]
        write_lines(folder / PAIRS, [_pair_row(pair) for pair in pairs])
        write_lines(folder / HELDOUT_PAIRS, [_pair_row(pair) for pair in heldout_pairs])
    rows = rows_of(
        [tokens_of(tokenizer, one, length) for one in examples],
        length,
        chat.sft.packed,
        tokenizer.eos_token_id,
    )
    pair_rows(tokenizer, [*pairs, *heldout_pairs], "none", length)
    told = Instructions(folder)
    for name, own in ((PROMPTS, told.questions()), (HELDOUT, told.questions(heldout=True))):
        _check_room(tokenizer, own, length, chat, name)
    if chat.ghost.most_turns:
        _check_turns(tokenizer, chat, length)
    facts = {
        "dialogues": len(examples),
        "sequences": len(rows),
        "pairs": len(pairs),
        "heldout_pairs": len(heldout_pairs),
        "prompts": len(told.questions()),
        "heldout": len(told.questions(heldout=True)),
        "is_made": chat.dialogues is None,
    }
    if chat.reward.safety is not None:
        facts |= {
            "safety_pairs": sum(pair.kind == SAFETY for pair in pairs),
            "tagged_prompts": sum(question.safety for question in told.questions()),
        }
    return facts


def _is_heldout(prompt: str) -> bool:
    """A tenth of all prompts, by their hash, whatever stands beside them."""
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big") % TENTH == 0


def _first_prompt(example: Example) -> str:
    return next(message["content"] for message in example.messages if message["role"] == "user")


def _split_dialogues(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """What is learnt from, documents among it, and the dialogues that are not."""
    heldout = [one for one in examples if not one.document and _is_heldout(_first_prompt(one))]
    kept = [one for one in examples if one.document or not _is_heldout(_first_prompt(one))]
    to_learn = sum(not one.document for one in kept)
    if not to_learn or len(heldout) < 2:
        file = examples[0].where.partition(", line")[0]
        raise ValueError(
            f"{file}: a tenth of the prompts is held out, which leaves {to_learn} dialogues to learn from and "
            f"{len(heldout)} to compare models on; allowed: more dialogues"
        )
    return kept, heldout


def _check_strengths(chat: ChatSettings, pairs: Sequence[Pair]) -> None:
    file = pairs[0].where.partition(", line")[0]
    heldout = sum(_is_heldout(pair.prompt) for pair in pairs)
    if heldout < 2 or heldout == len(pairs):
        raise ValueError(
            f"{file}: a tenth of the prompts is held out, {heldout} of {len(pairs)} pairs of {pairs[0].kind}; allowed: "
            "more pairs"
        )
    is_compared = pairs[0].kind == HELPFULNESS and len(chat.reward.compared) > 1
    if len({pair.strength for pair in pairs}) == 1 and is_compared:
        raise ValueError(
            f"{file}: every pair has strength {pairs[0].strength:g}, so that margins by strength cannot be told apart; "
            "allowed: pairs of several strengths, or chat.reward.compared=[none] and chat.reward.margin=none"
        )


def _questions(examples: Sequence[Example]) -> list[dict[str, Any]]:
    tagged: dict[str, bool] = {}
    for example in examples:
        if example.document:
            continue
        prompt = _first_prompt(example)
        tagged[prompt] = tagged.get(prompt, False) or example.safety
    return [
        {"kind": GIVEN, "prompt": prompt, "answer": ""} | ({"safety": True} if is_safety else {})
        for prompt, is_safety in tagged.items()
    ]


def _row(example: Example) -> dict[str, Any]:
    told = {name: getattr(example, name) for name in ("task", "category", "demonstrations", "safety")}
    kept = {name: value for name, value in told.items() if value}
    if example.document:
        return {"text": example.document, **kept}
    return {"messages": list(example.messages), "learn_from": example.learn_from, **kept}


def _pair_row(pair: Pair) -> dict[str, Any]:
    told = {name: getattr(pair, name) for name in ("prompt", "chosen", "rejected", "strength")}
    kind = {"kind": pair.kind} if pair.kind != HELPFULNESS else {}
    labels = {name: getattr(pair, name) for name in ("chosen_safe", "rejected_safe")}
    return told | kind | {name: label for name, label in labels.items() if label is not None}


def _check_turns(tokenizer: PreTrainedTokenizerBase, chat: ChatSettings, length: int) -> None:
    """Raises ValueError where the longest dialogue of Ghost Attention or its probe may not fit."""
    turns = chat.ghost.most_turns
    every = questions(chat.made.safety_pairs is not None)
    asked = [f"{asked_to_end_with(mark)} {question.prompt}" for mark in MARKS for question in every]
    each = max(
        len(encoded(tokenizer, [{"role": "user", "content": text}], asks=True).tokens) for text in asked
    )
    longest = turns * (each + chat.new_tokens + SEPARATING)
    if longest > length:
        raise ValueError(
            f"chat.ghost: {turns} turns (turns, recall_turns) may take {longest} tokens, more than the {length} of a "
            f"sequence (training.sequence_length); allowed: up to {length * turns // longest} turns, or fewer "
            "chat.new_tokens"
        )


def _check_room(
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[Question],
    length: int,
    chat: ChatSettings,
    name: str,
) -> None:
    file = chat.dialogues or name
    for question in asked:
        size = len(encoded(tokenizer, [{"role": "user", "content": question.prompt}], asks=True).tokens)
        if size + chat.new_tokens > length:
            raise ValueError(
                f"{file}: the prompt {question.prompt[:60]!r} of {size} tokens leaves no room for {chat.new_tokens} "
                f"(chat.new_tokens) in the {length} of a sequence (training.sequence_length)"
            )
