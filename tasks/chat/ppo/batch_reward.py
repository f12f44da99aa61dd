"""The reward of a whole batch of answers, whitened over it, in the form in which TRL asks a reward model for it.

TRL calls the trunk that `base_model_prefix` names with padded tokens, and `score` on what it gives. Here the trunk
takes them apart again, so that the judge reads text, with its own tokenizers, and sees the batch whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from tasks.chat.made_questions import Question
from tasks.chat.reward.judging import Judge
from tasks.chat.reward.piecewise import whitened


@dataclass(frozen=True)
class Asked:
    """The prompts by their tokens, all padded on the left to `width`, and how the tokens of an answer become text."""

    by_tokens: Mapping[tuple[int, ...], Question]
    width: int
    text: Callable[[Sequence[int]], str]


@dataclass
class Seen:
    """Of each batch that was rewarded: the mean of logit(R_c) before it was whitened; and all tokens read."""

    means: list[float] = field(default_factory=list)
    tokens: int = 0


class _Trunk(nn.Module):
    def __init__(self, judge: Judge, asked: Asked, seen: Seen) -> None:
        super().__init__()
        self.judge, self.asked, self.seen = judge, asked, seen

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> SimpleNamespace:
        width, answers, prompts = self.asked.width, [], []
        for tokens, kept in zip(input_ids.tolist(), attention_mask.bool().tolist(), strict=True):
            own = [token for token, is_kept in zip(tokens[:width], kept[:width], strict=True) if is_kept]
            said = [token for token, is_kept in zip(tokens[width:], kept[width:], strict=True) if is_kept]
            prompts.append(self.asked.by_tokens[tuple(own)])
            answers.append([self.asked.text(said)])
        scores = self.judge.judged(prompts, answers).scores
        self.seen.means.append(float(scores.mean()))
        self.seen.tokens += int(attention_mask.sum())
        told = torch.from_numpy(whitened(scores)).to(input_ids.device, torch.float32)
        return SimpleNamespace(hidden_states=(told[:, :, None].expand(-1, input_ids.shape[1], -1),))


class BatchReward(nn.Module):
    """As a model with a head of width one: every token of a text has the text's reward."""

    base_model_prefix = "trunk"

    def __init__(self, judge: Judge, asked: Asked, seen: Seen) -> None:
        super().__init__()
        self.trunk, self.score = _Trunk(judge, asked, seen), nn.Identity()
