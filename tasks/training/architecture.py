"""The configuration of the seed model from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.training.settings import ModelSettings, TrainingSettings

if TYPE_CHECKING:
    from transformers import LlamaConfig


def seed_architecture(
    model: ModelSettings, training: TrainingSettings, vocab_size: int, end_of_text: int | None = None
) -> LlamaConfig:
    """Llama configuration in which `end_of_text` begins and ends a text.

    There is no padding token: transformers would keep its embedding from learning.
    """
    import models

    return models.seed_config(
        vocab_size=vocab_size,
        hidden_size=model.hidden_size,
        num_layers=model.num_layers,
        num_heads=model.num_heads,
        num_kv_heads=model.num_kv_heads,
        max_length=training.sequence_length,
        ffn_multiple=model.ffn_multiple,
        tie_embeddings=model.tie_embeddings,
        bos_token_id=end_of_text,
        eos_token_id=end_of_text,
    )
