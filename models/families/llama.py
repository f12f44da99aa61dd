"""Llama 2 (arXiv 2307.09288), the default seed."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig

from models.families.decoder_sizes import decoder_fields


def seed_config(*sizes: Any, **options: Any) -> LlamaConfig:
    """Llama-2 configuration, no biases. Sizes and options, and what is refused: as of `decoder_fields`."""
    return LlamaConfig(**decoder_fields(*sizes, **options))
