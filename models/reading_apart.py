"""Whether a model can read documents that are packed into one sequence apart from each other.

Positions that begin again within a sequence are how transformers is told of packed documents: attention masks follow
from them. A model that carries a state from token to token, or knows no positions, would read on across documents.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedConfig

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
TOLERANCE = 1e-3  # of the largest logit, between documents packed and alone


def check_config_reads_apart(config: PreTrainedConfig, place: str) -> None:
    """Raise ValueError, naming the model's place, where its architecture tells that it cannot; reads no weights."""
    architecture: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    kinds = {str(kind) for kind in getattr(config, "layer_types", None) or []}
    others = sorted(kinds - ATTENTION)
    if getattr(architecture, "_is_stateful", False) or others:
        named = f" ({', '.join(others)})" if others else ""
        raise ValueError(_refusal(config, place, f"carries a state from token to token{named}"))
    if "position_ids" not in inspect.signature(architecture.forward).parameters:
        raise ValueError(_refusal(config, place, "takes no positions"))


@torch.no_grad()
def check_reads_apart(model: Any) -> None:
    """Raise ValueError unless two packed documents have the logits that they have alone; a forward pass or three."""
    first, second = (
        torch.arange(begin, begin + 4, device=model.device) % model.config.vocab_size for begin in (1, 3)
    )
    was_training = model.training
    model.eval()
    alone = [model(input_ids=ids[None], use_cache=False).logits for ids in (first, second)]
    positions = torch.arange(4, device=model.device).repeat(2)[None]
    packed = torch.cat([first, second])[None]
    together = model(input_ids=packed, position_ids=positions, use_cache=False).logits
    model.train(was_training)
    apart = torch.cat(alone, dim=1)
    if not (together - apart).abs().max() <= TOLERANCE * apart.abs().max():
        raise ValueError(_refusal(model.config, "", "does not read packed documents as it reads them alone"))


def _refusal(config: PreTrainedConfig, place: str, why: str) -> str:
    where = f"{place}: " if place else ""
    return (
        f"training.document_masks: {where}a {config.model_type} model {why}; allowed: document_masks: false, or a "
        "model of attention with positions, such as llama, qwen3, qwen3_moe"
    )
