"""The loss of a reward model: L = -log sigma(r(x, y_c) - r(x, y_r) - m), arXiv 2307.09288, equations 1 and 2.

The margin m grows with how much better the chosen answer is (table 27).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHOSEN, REJECTED, ABOUT = range(
    3
)  # planes of a batch (pairs, 3, length): of the last, two places and the margin
MICRO = 1_000_000  # margins are whole numbers of millionths, as everything in a batch is whole


def preference_margin(model: Any, batch: Tensor) -> Tensor:
    """Mean over the pairs. model: a causal trunk under a head of width one, as `models.reward_model` makes it."""
    rewards = pair_rewards(model, batch)
    return margin_loss(rewards[:, 0], rewards[:, 1], batch[:, ABOUT, 2] / MICRO).mean()


def pair_rewards(model: Any, batch: Tensor) -> Tensor:
    """Rewards (pairs, 2) of chosen and rejected."""
    tokens = batch[:, (CHOSEN, REJECTED)].flatten(0, 1)
    return rewards_of(model, tokens, batch[:, ABOUT, :2].flatten()).view(-1, 2)


def margin_loss(chosen: Tensor, rejected: Tensor, margin: Tensor) -> Tensor:
    """-log sigma(chosen - rejected - margin), one a pair."""
    return -functional.logsigmoid(chosen - rejected - margin)


def rewards_of(model: Any, tokens: Tensor, last: Tensor) -> Tensor:
    """The reward (texts,) at each text's last token; tokens (texts, length) are padded on the right.

    The trunk is asked for itself, since the library's own pooling takes the last token that is not padding, and
    where padding and the end of a turn are one token, that is the one before the end.
    """
    states = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
    picked = states[torch.arange(len(tokens), device=tokens.device), last]
    return model.score(picked).squeeze(-1)
