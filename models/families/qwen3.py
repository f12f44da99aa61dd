"""Qwen3 (arXiv 2505.09388): Llama with queries and keys that are normalised a head; the dense twin of `moe`."""

from __future__ import annotations

from typing import Any

from transformers import Qwen3Config

from models.families.decoder_sizes import decoder_fields


def qwen3_config(*sizes: Any, **options: Any) -> Qwen3Config:
    """Qwen3 configuration with heads that share out the width. Sizes and options: as of `decoder_fields`."""
    fields = decoder_fields(*sizes, **options)
    return Qwen3Config(**fields, head_dim=fields["hidden_size"] // fields["num_attention_heads"])
