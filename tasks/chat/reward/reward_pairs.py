"""Pairs as the rows that a reward model is trained on, and rewards of answers to prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.chat.dialogue_lines import Pair
from tasks.chat.fitting import padded
from tasks.preference.rating.strengths import margin_of
from tasks.sources.chat_template import ASSISTANT, encoded
from tasks.training.objectives import safety_margin
from tasks.training.objectives.preference_margin import ABOUT, CHOSEN, MICRO, REJECTED, rewards_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 64


def answered_tokens(
    tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str, length: int, where: str
) -> list[int]:
    """Prompt and answer by the chat template, up to the end of the answer's turn.

    Raises ValueError where they are more than `length` tokens. An answer without text is one: its turn ends at once.
    """
    messages = [{"role": "user", "content": prompt}, {"role": ASSISTANT, "content": answer}]
    tokens = encoded(tokenizer, messages).tokens
    if len(tokens) > length:
        raise ValueError(
            f"{where}: prompt and answer of {len(tokens)} tokens are more than the {length} of a sequence "
            "(training.sequence_length)"
        )
    return tokens


def pair_rows(
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    margin: str,
    length: int,
    auxiliary: float | None = None,
) -> np.ndarray:
    """int64 (pairs, 3, longest) as the objective takes them, padded to the longest text.

    auxiliary: weight of the labels, for the objective safety_margin; None: without them, for preference_margin.

    Raises ValueError by file and line of a pair of more than `length` tokens.
    """
    sides = {
        plane: [answered_tokens(tokenizer, p.prompt, getattr(p, name), length, p.where) for p in pairs]
        for plane, name in ((CHOSEN, "chosen"), (REJECTED, "rejected"))
    }
    longest = max(len(text) for texts in sides.values() for text in texts)
    if auxiliary is not None:
        longest = max(longest, safety_margin.END)
    rows = np.zeros((len(pairs), 3, longest), np.int64)
    for plane, texts in sides.items():
        rows[:, plane] = padded(texts, longest, tokenizer.eos_token_id)
        rows[:, ABOUT, plane] = [len(text) - 1 for text in texts]
    rows[:, ABOUT, 2] = np.rint(np.array([margin_of(pair.strength, margin) for pair in pairs]) * MICRO)
    if auxiliary is not None:
        labels = {None: safety_margin.UNTOLD, False: safety_margin.UNSAFE, True: safety_margin.SAFE}
        told = [[labels[pair.chosen_safe], labels[pair.rejected_safe]] for pair in pairs]
        rows[:, ABOUT, safety_margin.LABELS : safety_margin.WEIGHT] = told
        rows[:, ABOUT, safety_margin.WEIGHT] = round(auxiliary * MICRO)
    return rows


@torch.inference_mode()
def rewards(
    model: Any, tokenizer: PreTrainedTokenizerBase, said: Sequence[tuple[str, str]], length: int
) -> NDArray:
    """The reward of each (prompt, answer). tokenizer: the reward model's own, whoever wrote the answer: text is what is
    scored, so that the two need not share one."""
    texts = [
        answered_tokens(tokenizer, prompt, answer, length, "a sampled answer") for prompt, answer in said
    ]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = np.zeros(len(texts))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        own = [texts[i] for i in rows]
        tokens = torch.from_numpy(padded(own, len(own[-1]), tokenizer.eos_token_id)).to(model.device)
        last = torch.tensor([len(text) - 1 for text in own], device=model.device)
        found[rows] = rewards_of(model, tokens, last).float().cpu().numpy()
    return found
