"""Answers drawn at a temperature, each from random numbers of its own.

The argmax of logits / T + Gumbel noise is a draw from the softmax of logits / T. So an answer depends on its prompt,
its number and the seed, and not on which others are drawn beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from tasks.chat.dialogue_lines import Message
from tasks.sources.chat_template import encoded, turn_ends
from tasks.training.token_order import generator

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 64


class GumbelNoise(LogitsProcessor):
    """Logits / temperature + noise, each row's from its own generator."""

    def __init__(self, generators: Sequence[np.random.Generator], temperature: float) -> None:
        self._generators, self._temperature = generators, temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        noise = np.stack([drawn.gumbel(size=scores.shape[-1]) for drawn in self._generators])
        return scores / self._temperature + torch.from_numpy(noise).to(scores)


@dataclass(frozen=True)
class Speaker:
    """A chat model with its tokenizer, at most `new_tokens` tokens an answer."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    new_tokens: int

    def likeliest(self, dialogues: Sequence[Sequence[Message]]) -> list[str]:
        """The likeliest answer to each dialogue."""
        return self._said(dialogues, [None] * len(dialogues), 1.0)

    def drawn(
        self,
        dialogues: Sequence[Sequence[Message]],
        names: Sequence[str],
        temperature: float,
        random_seed: int,
    ) -> list[str]:
        """An answer to each dialogue at a temperature; names: what each draw follows from, with the seed."""
        return self._said(dialogues, [generator(random_seed, name) for name in names], temperature)

    @torch.inference_mode()
    def _said(
        self,
        dialogues: Sequence[Sequence[Message]],
        noise: Sequence[np.random.Generator | None],
        temperature: float,
    ) -> list[str]:
        asked = [encoded(self.tokenizer, dialogue, asks=True).tokens for dialogue in dialogues]
        self._check(asked)
        ends = [*turn_ends(self.tokenizer), self.tokenizer.eos_token_id]
        order = sorted(range(len(asked)), key=lambda i: len(asked[i]))
        found = [""] * len(asked)
        self.model.eval()
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            own = [drawn for i in rows if (drawn := noise[i]) is not None]
            processors = [GumbelNoise(own, temperature)] if own else []
            said = self._continued([asked[i] for i in rows], ends, LogitsProcessorList(processors))
            for i, tokens in zip(rows, said, strict=True):
                kept = list(takewhile(lambda token: token not in ends, tokens))
                found[i] = str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()
        return found

    def _check(self, asked: Sequence[list[int]]) -> None:
        context = getattr(self.model.config, "max_position_embeddings", None)
        longest = max((len(tokens) for tokens in asked), default=0)
        if context is not None and longest + self.new_tokens > context:
            raise ValueError(
                f"a prompt of {longest} tokens leaves no room for {self.new_tokens} (chat.new_tokens) in the {context} "
                "of the model's context; allowed: shorter prompts, fewer turns, or fewer new tokens"
            )

    def _continued(
        self, rows: Sequence[list[int]], ends: list[int], processors: LogitsProcessorList
    ) -> list[list[int]]:
        width = max(len(row) for row in rows)
        input_ids = torch.full((len(rows), width), ends[-1])
        mask = torch.zeros_like(input_ids)
        for at, row in enumerate(rows):
            input_ids[at, width - len(row) :] = torch.tensor(row)
            mask[at, width - len(row) :] = 1
        found = self.model.generate(
            input_ids.to(self.model.device),
            attention_mask=mask.to(self.model.device),
            max_new_tokens=self.new_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            use_cache=True,
            logits_processor=processors,
            eos_token_id=ends,
            pad_token_id=ends[-1],
        )
        return found[:, width:].tolist()
