"""What a causal language model costs: its weights, and the arithmetic of running and training it."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from models.combined.mixture_blocks import SampledFeedForwards


class ModelCosts(NamedTuple):
    """Weights that train, all weights, weights that a token is computed with, and FLOPs of its forward pass."""

    trained: int
    total: int
    active: int
    forward_flops_per_token: float


def model_costs(config_or_model: PreTrainedConfig | PreTrainedModel, length: int) -> ModelCosts:
    """Costs of any causal LM, stitched and combined ones included, in a sequence of `length` tokens.

    A tied weight counts once. All weights are active but those of feed-forward experts that a token's routing
    passes over at evaluation: of E experts and top-k, all but k; of sampled ones, all but one. Routing between
    whole models counts all of them, since all of them read the text (BTS, arXiv 2502.00075, table 2, counts one, as
    its router decides once a prompt). FLOPs are PaLM's count (arXiv 2204.02311, appendix B), 2 N + 4 A H Q T: see
    `train_flops_per_token`.
    """
    model = _weightless(config_or_model)
    total = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    active = sum(parameter.numel() * share for parameter, share in _met_shares(model).values())
    matmul = sum(2 * parameter.numel() * share for parameter, share in _multiplying(model))
    return ModelCosts(trained, total, round(active), matmul + 4 * _attention(model) * _checked(length))


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """(total, non_embedding): all weights, and those outside token embeddings and the output head.

    A tied weight counts once.
    """
    total = sum(parameter.numel() for parameter in model.parameters())
    embedding = {id(weight): weight.numel() for weight in [*_token_tables(model), *_output_heads(model)]}
    return total, total - sum(embedding.values())


def train_flops_per_token(config_or_model: PreTrainedConfig | PreTrainedModel, length: int) -> float:
    """Floating-point operations to train on one token in a sequence of `length` tokens.

    PaLM's count (arXiv 2204.02311, appendix B): 6 N + 12 A H Q T for A attention layers, H heads of size Q
    (H Q = d) and T = `length`; attention is counted in full, not halved for causality. N counts the weights
    that multiply: all but token embeddings, which are looked up, and with the output head, tied or not; of
    feed-forward experts those that a token is routed to, dropped or not. Weights that do not train cost 4 rather than
    6 (no gradient of their own), and 2, as attention 4, where no gradient passes through them; for a stitched model
    this counts all n+1 streams and is an upper bound, since gradients stop at the first stitch.
    """
    model = _weightless(config_or_model)
    passes = 3 if getattr(model, "frozen_pass_gradients", True) else 1
    frozen = 2 * min(passes, 2)
    matmul = sum(
        parameter.numel() * share * (6 if parameter.requires_grad else frozen)
        for parameter, share in _multiplying(model)
    )
    return float(matmul + 4 * passes * _attention(model) * _checked(length))


def _checked(length: int) -> int:
    if length < 1:
        raise ValueError(f"length is {length}; allowed: at least 1 token")
    return length


def _weightless(config_or_model: PreTrainedConfig | PreTrainedModel) -> Any:
    if not isinstance(config_or_model, PreTrainedConfig):
        return config_or_model
    with torch.device("meta"):  # counts weights without holding any
        return AutoModelForCausalLM.from_config(copy.deepcopy(config_or_model))


def _attention(model: Any) -> int:
    """A H Q: channels of attention over all layers that a token passes, of all members."""
    config = model.config
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    num_layers = getattr(config, "num_attention_layers", config.num_hidden_layers)
    return num_layers * config.num_attention_heads * head_size


def _multiplying(model: nn.Module) -> list[tuple[Tensor, float]]:
    """Weights that are not merely looked up, and the share of each that a token meets."""
    looked_up = {id(table) for table in _token_tables(model)} - {id(head) for head in _output_heads(model)}
    return [met for identity, met in _met_shares(model).items() if identity not in looked_up]


def _met_shares(model: nn.Module) -> dict[int, tuple[Tensor, float]]:
    """Every weight, and the share of tokens that meet it on average: 1 but for weights of experts."""
    shares = {id(parameter): 1.0 for parameter in model.parameters()}
    each: Any
    for each in model.modules():
        met, parts = 1.0, list[nn.Module]()
        if isinstance(each, SampledFeedForwards):
            met, parts = 1 / len(each.experts), [each.experts]
        elif _is_sparse(each):
            met, parts = each.config.num_experts_per_tok / each.num_experts, [each]
        for parameter in (weight for part in parts for weight in part.parameters()):
            shares[id(parameter)] *= met
    return {id(parameter): (parameter, shares[id(parameter)]) for parameter in model.parameters()}


def _is_sparse(module: Any) -> bool:
    """Whether it holds all experts of a layer as transformers does: stacked, of which a token meets a fixed number."""
    stacked = isinstance(getattr(module, "gate_up_proj", None), nn.Parameter)
    return stacked and hasattr(module, "num_experts") and hasattr(module.config, "num_experts_per_tok")


def _token_tables(model: nn.Module) -> list[Tensor]:
    return [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]


def _output_heads(model: nn.Module) -> list[Tensor]:
    owners: list[Any] = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    heads = [owner.get_output_embeddings() for owner in owners]
    return [head.weight for head in heads if head is not None]
