"""LoRA: W + alpha / r B A on the linear layers of a trunk, B of zeros at first (Hu et al. 2022, arXiv 2106.09685)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def add_adapters(model: Any, rank: int, alpha: int, dropout: float, random_seed: int) -> Callable[[], None]:
    """Freeze the model but for new adapters, and for a reward head; what is returned merges them into the weights.

    All linear layers have one but the output head. The global random state is as before afterwards.
    Raises ValueError where the trunk has matrices that are no linear layers (stacked experts), which would stay as
    they are.
    """
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

    trunk: nn.Module = model.base_model
    linear = {name: module for name, module in trunk.named_modules() if isinstance(module, nn.Linear)}
    _check_all_linear(trunk, linear)
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(linear), bias="none"
    )
    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(random_seed)
        tuner = LoraModel(trunk, config, "default")
    if hasattr(model, "score"):
        model.score.requires_grad_(True)

    def merge() -> None:
        tuner.merge_and_unload(safe_merge=True)
        model.requires_grad_(True)

    return merge


def _check_all_linear(trunk: nn.Module, linear: dict[str, nn.Linear]) -> None:
    tables = [module for module in trunk.modules() if isinstance(module, nn.Embedding)]
    known = {id(module.weight) for module in [*linear.values(), *tables]}
    for name, weight in trunk.named_parameters():
        if weight.ndim >= 2 and id(weight) not in known:
            raise ValueError(
                f"low-rank adapters: {name} {tuple(weight.shape)} is no linear layer and would stay as it is; "
                "allowed: lora empty, so that all weights train, or a model whose matrices are linear layers"
            )
