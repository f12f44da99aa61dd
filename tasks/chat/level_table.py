"""One table of what is held out: level x number of examples shown, a row a model, with intervals.

The levels are OPT-IML's (arXiv 2212.12017): how far a tested task stands from what was taught. A cell is the mean over
its tasks, each counting as one; its interval is over items, of these tasks and no others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tasks.chat.dialogue_lines import Example as Line
from tasks.chat.dialogue_lines import Message
from tasks.chat.packing import tokens_of
from tasks.chat.sampling import Speaker
from tasks.evaluation.standard_errors import mean_error, ratio
from tasks.instructions.collections import Example
from tasks.instructions.mixing import parted
from tasks.instructions.split_certificate import CATEGORY, INSTANCE, LEAKED, SEEN, TASK
from tasks.training.objectives.answer_tokens import NOT_LEARNT
from tasks.training.token_order import generator

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
LEVELS = (CATEGORY, TASK, INSTANCE, LEAKED, SEEN)
BATCH = 8


def shown_with(examples: Sequence[Example], number: int, shots: int, random_seed: int) -> list[Message]:
    """The item behind `shots` other examples of its task, as earlier turns; drawn from the seed, task and number.

    None of these has the item's question. Raises ValueError where the task has too few.
    """
    item = examples[number]
    system, turns = parted(item)
    others = [e for e in examples if parted(e)[1][0]["content"] != turns[0]["content"]]
    if len(others) < shots:
        raise ValueError(
            f"{item.place}: task {item.task!r} has {len(others)} examples with another question; allowed: --shots 0 "
            f"to {len(others)}"
        )
    order = generator(random_seed, f"shown {item.task} {number}").permutation(len(others))[:shots]
    before = [message for at in order for message in parted(others[at])[1]]
    return [*system, *before, *turns]


def scored_items(
    speaker: Speaker, tested: Mapping[str, Sequence[Example]], shots: int, random_seed: int
) -> list[dict[str, Any]]:
    """task, item, exact (whether the likeliest answer is the given one), bits and bytes of the given one."""
    places = [(task, number) for task, examples in tested.items() for number in range(len(examples))]
    dialogues = [shown_with(tested[task], number, shots, random_seed) for task, number in places]
    said = speaker.likeliest([dialogue[:-1] for dialogue in dialogues])
    bits = answer_bits(speaker, dialogues)
    return [
        {
            "task": task,
            "item": number,
            "exact": text.strip() == dialogue[-1]["content"].strip(),
            "bits": own,
            "bytes": len(dialogue[-1]["content"].encode()),
        }
        for (task, number), dialogue, text, own in zip(places, dialogues, said, bits, strict=True)
    ]


@torch.inference_mode()
def answer_bits(speaker: Speaker, dialogues: Sequence[Sequence[Message]]) -> list[float]:
    """-log2 p of each dialogue's last answer and the end of its turn, given what stands before."""
    context = getattr(speaker.model.config, "max_position_embeddings", None) or 1 << 30
    lines = [Line(messages, "an item", len(messages) - 1) for messages in dialogues]
    rows = [tokens_of(speaker.tokenizer, line, context) for line in lines]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].tokens))
    found = [0.0] * len(rows)
    for start in range(0, len(order), BATCH):
        own = order[start : start + BATCH]
        width = len(rows[own[-1]].tokens)
        tokens = torch.zeros((len(own), width), dtype=torch.long)
        labels = torch.full((len(own), width), NOT_LEARNT)
        for at, i in enumerate(own):
            tokens[at, : len(rows[i].tokens)] = torch.tensor(rows[i].tokens)
            labels[at, : len(rows[i].labels)] = torch.tensor(rows[i].labels)
        logits = speaker.model(input_ids=tokens.to(speaker.model.device), use_cache=False).logits[:, :-1]
        nats = functional.cross_entropy(
            logits.float().transpose(1, 2), labels[:, 1:].to(logits.device), reduction="none"
        ).sum(dim=1)
        for i, value in zip(own, nats.tolist(), strict=True):
            found[i] = value / math.log(2)
    return found


def level_table(
    rows: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]],
    levels: Mapping[str, str],
    demonstrations: Mapping[str, bool],
) -> list[dict[str, Any]]:
    """(model, shots) -> items, and task -> level; a row a level, model and number of shots.

    demonstrations: by model, whether it was taught with any. exact and bits (a byte) with their 95% intervals; an end
    is None where a task has a single item.
    """
    found = []
    for level in (level for level in LEVELS if level in levels.values()):
        for (model, shots), items in rows.items():
            by_task = [
                own
                for task in levels
                if levels[task] == level and (own := [row for row in items if row["task"] == task])
            ]
            exact = [_mean([float(row["exact"]) for row in own]) for own in by_task]
            bits = [ratio([row["bits"] for row in own], [row["bytes"] for row in own]) for own in by_task]
            found.append(
                {
                    "level": level,
                    "shots": shots,
                    "model": model,
                    "taught_with_demonstrations": demonstrations[model],
                    "tasks": len(by_task),
                    "items": sum(len(own) for own in by_task),
                    **_cell("exact", exact, (0.0, 1.0)),
                    **_cell("bits", bits, (0.0, math.inf)),
                }
            )
    return found


def _mean(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), mean_error(values)


def _cell(name: str, parts: Sequence[tuple[float, float]], ends: tuple[float, float]) -> dict[str, Any]:
    value = float(np.mean([part[0] for part in parts]))
    half = Z * math.sqrt(sum(part[1] ** 2 for part in parts)) / len(parts)
    known = not math.isnan(half)
    low, high = max(value - half, ends[0]), min(value + half, ends[1])
    return {name: value, f"{name}_low": low if known else None, f"{name}_high": high if known else None}
