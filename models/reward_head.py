"""A reward model: the trunk of a causal LM under a linear head of width one (arXiv 2307.09288, section 3.2.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING


def reward_model(path: str | Path, new_head: bool = False) -> Any:
    """The reward model in a folder, in fp32. new_head: from a causal LM there, with a head of zeros: all rewards are 0.

    Raises ValueError for an architecture that the library has no such model of (stitched and combined ones).
    """
    config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ValueError(
            f"a reward model cannot be made from {config.model_type!r}, which has no trunk for a head; allowed: a "
            "model of one of transformers' own architectures"
        )
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        path, num_labels=1, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    if new_head:
        with torch.no_grad():
            model.score.weight.zero_()
    return model.eval()
