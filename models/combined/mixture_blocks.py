"""Feed-forward and attention blocks of several models as experts of one mixture with a linear router.

    y = sum_i g_i(W x) A_i Block_i(x)

W (members, d) is the router and starts at zero, which weighs all alike; A_i (d, d), where there are adapters,
starts as the identity. So a mixture of copies of one block gives that block's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MixtureOfBlocks(nn.Module):
    """What both kinds of mixture hold: the experts' blocks, the router, and adapters where wanted."""

    def __init__(self, blocks: Sequence[nn.Module], hidden_size: int, adapters: bool, **where: Any) -> None:
        super().__init__()
        self.experts = nn.ModuleList(blocks)
        self.router = nn.Parameter(torch.zeros(len(blocks), hidden_size, **where))
        identities = torch.eye(hidden_size, **where).repeat(len(blocks), 1, 1) if adapters else None
        self.adapters = None if identities is None else nn.Parameter(identities)

    def weights(self, hidden: Tensor) -> Tensor:
        """softmax(W x) over the experts, (..., members)."""
        return torch.softmax(F.linear(hidden, self.router).float(), dim=-1).to(hidden.dtype)

    def mixed(self, hidden: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """The experts' outputs, each (..., d), adapted and summed with softmax weights."""
        weights = self.weights(hidden).unbind(-1)
        total = torch.zeros_like(hidden)
        for index, (weight, output) in enumerate(zip(weights, outputs, strict=True)):
            total = total + weight.unsqueeze(-1) * self.adapted(index, output).to(hidden.dtype)
        return total

    def adapted(self, index: int, output: Tensor) -> Tensor:
        return output if self.adapters is None else F.linear(output, self.adapters[index])


class MixtureOfFeedForwards(MixtureOfBlocks):
    """Stands for a decoder layer's `mlp`. Every token goes through all experts."""

    def forward(self, hidden: Tensor) -> Tensor:
        return self.mixed(hidden, [expert(hidden) for expert in self.experts])


class SampledFeedForwards(MixtureOfBlocks):
    """Stands for a decoder layer's `mlp`. Every token goes through one expert: g is one-hot.

    While training the expert is drawn, i = argmax (W x + Gumbel noise), and the router learns straight
    through: forward takes weight 1, backward the gradient of softmax((W x + noise) / temperature)_i. In
    evaluation i = argmax W x.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], hidden_size: int, adapters: bool, temperature: float, **where: Any
    ) -> None:
        super().__init__(blocks, hidden_size, adapters, **where)
        self.temperature = temperature

    def forward(self, hidden: Tensor) -> Tensor:
        scores = F.linear(hidden, self.router).float()
        if self.training:
            one_hot = F.gumbel_softmax(scores, tau=self.temperature, hard=True)
            picks = one_hot.argmax(dim=-1)
            weights = one_hot.gather(-1, picks.unsqueeze(-1)).to(hidden.dtype)
        else:
            picks = scores.argmax(dim=-1)
            weights = None
        total = torch.zeros_like(hidden)
        for index, expert in enumerate(self.experts):
            chosen = picks == index  # may be no token: then its weights get a gradient of zero, not none
            output = self.adapted(index, expert(hidden[chosen].unsqueeze(0)).squeeze(0)).to(hidden.dtype)
            total[chosen] = output if weights is None else weights[chosen] * output
        return total


class MixtureOfAttentions(MixtureOfBlocks):
    """Stands for a decoder layer's `self_attn`. Every expert attends with keys and values of its own."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        outputs = [expert(hidden_states, *args, **kwargs)[0] for expert in self.experts]
        return self.mixed(hidden_states, outputs), None
