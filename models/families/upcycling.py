"""A mixture of experts whose experts start as the feed-forward blocks of dense models.

Of one model (sparse upcycling, arXiv 2212.05055) each expert is a copy, of a seed and its experts (as Branch-Train-MiX,
arXiv 2403.07816, makes one) they take turns, and all other weights are averaged. Gates are normalised, so that equal
blocks give the output of one of them: a mixture of copies has the logits of the dense model, whatever its routers.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel, Qwen3Config, Qwen3MoeConfig

from models.averaging import uniform_soup
from models.families.moe import Sparsity
from models.seed import new_seed_model

SHARED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "tie_word_embeddings",
    "rope_parameters",
    "attention_bias",
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


def upcycled_config(dense: PreTrainedConfig, sparsity: Sparsity) -> Qwen3MoeConfig:
    """The configuration of a mixture whose experts are as wide as the dense model's feed-forward block.

    Raises ValueError for what is no dense Qwen3 model, and as `Sparsity.check` does.
    """
    if getattr(dense, "num_experts", None):
        raise ValueError(
            f"upcycling from {dense.model_type}, which has experts already; allowed: a dense qwen3 model"
        )
    if not isinstance(dense, Qwen3Config):
        raise ValueError(
            f"upcycling from {dense.model_type}: the mixture is a Qwen3-MoE, which normalises queries and keys, so "
            "that it cannot have the function of another architecture; allowed: a dense qwen3 model"
        )
    if dense.use_sliding_window and "sliding_attention" in (dense.layer_types or ()):
        raise ValueError(
            "upcycling from a model with sliding attention; allowed: full attention in all layers"
        )
    sparsity.check(dense.num_hidden_layers)
    fields: dict[str, Any] = {name: getattr(dense, name) for name in SHARED}
    return Qwen3MoeConfig(**fields, **sparsity.fields(dense.intermediate_size), dtype=dense.dtype)


@torch.no_grad()
def upcycle(members: Sequence[PreTrainedModel], sparsity: Sparsity, random_seed: int) -> PreTrainedModel:
    """A mixture from dense members of one shape, leaving them untouched; of their dtype, in evaluation mode.

    random_seed: of the routers, which are new; the global random state stays. Raises ValueError as `upcycled_config`
    and `uniform_soup` do, and where the experts are no multiple of the members.
    """
    if not members or sparsity.num_experts % len(members):
        raise ValueError(
            f"num_experts is {sparsity.num_experts} for {len(members)} dense models; allowed: a multiple of them"
        )
    config = upcycled_config(members[0].config, sparsity)
    soup = dict(uniform_soup(members).named_parameters())
    blocks: list[Any] = [member.base_model.layers for member in members]
    mixture: Any = new_seed_model(config, random_seed)
    mixture.to(members[0].dtype)
    mixture.generation_config = copy.deepcopy(members[0].generation_config)
    for name, weight in mixture.named_parameters():
        if name in soup:
            weight.copy_(soup[name])
    for index, layer in enumerate(mixture.base_model.layers):
        if not hasattr(layer.mlp, "experts"):
            continue
        experts = layer.mlp.experts
        for place in range(sparsity.num_experts):
            block = blocks[place % len(members)][index].mlp
            experts.gate_up_proj[place].copy_(torch.cat([block.gate_proj.weight, block.up_proj.weight]))
            experts.down_proj[place].copy_(block.down_proj.weight)
    return mixture.to(members[0].device).eval()
