"""Frozen linear layers in bf16 while the rest trains under bf16 autocast: half their memory, the same results.

Autocast rounds the weights of a linear layer to bf16 at every step; those that do not train can be rounded once. What
is not a linear layer, and a head whose weight is the token embeddings too, stays in fp32, and so does what trains.
"""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def round_frozen(model: nn.Module) -> int:
    """Round the weights of linear layers that do not train to bf16, in place; how many weights these are."""
    uses: dict[nn.Parameter, list[nn.Module]] = {}
    for module in model.modules():
        for weight in module.parameters(recurse=False):
            uses.setdefault(weight, []).append(module)
    rounded = 0
    for weight, modules in uses.items():
        if not weight.requires_grad and all(isinstance(module, nn.Linear) for module in modules):
            weight.data = weight.data.to(torch.bfloat16)
            rounded += weight.numel()
    return rounded


@torch.no_grad()
def copy_trained(trained: nn.Module, whole: nn.Module) -> None:
    """Copy the weights that train into a model of the same names, which keeps its own of what is frozen."""
    weights = dict(whole.named_parameters())
    for name, weight in trained.named_parameters():
        if weight.requires_grad:
            weights[name].copy_(weight)
