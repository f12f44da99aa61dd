"""The configuration of the seed model: from the settings, or that of a pretrained one, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.pretrained_places import read_pretrained
from tasks.training.settings import ModelSettings, TrainingSettings

if TYPE_CHECKING:
    from transformers import LlamaConfig, PretrainedConfig


def read_config(path_or_name: str, setting: str = "model.pretrained") -> PretrainedConfig:
    """The configuration of a pretrained model in a folder, a GGUF file, an installed package or on the Hub.

    Raises ValueError, naming the setting, where it cannot be read.
    """
    from transformers import AutoConfig

    import models

    models.pretrained_place(path_or_name)
    try:
        return read_pretrained(AutoConfig, path_or_name)
    except models.UNREADABLE as error:
        raise ValueError(
            f"{setting}={path_or_name!r} could not be read; allowed: a folder with config.json and "
            "safetensors, a GGUF file, or a Hugging Face Hub name (which needs the network): "
            f"{(str(error).splitlines() or [''])[0]}"
        ) from error


def check_pretrained(path_or_name: str, vocab_size: int, num_stitches: int) -> None:
    """Raise ValueError where a pretrained model has too few token embeddings or layers; reads its config alone."""
    config = read_config(path_or_name)
    if vocab_size > config.vocab_size:
        raise ValueError(
            f"model.pretrained={path_or_name!r} has {config.vocab_size} token embeddings but the tokenizer "
            f"{vocab_size} tokens; allowed: the model's own tokenizer in sources.tokenizer.pretrained"
        )
    if num_stitches > config.num_hidden_layers:
        raise ValueError(
            f"stitching.num_stitches={num_stitches}: model.pretrained={path_or_name!r} has "
            f"{config.num_hidden_layers} layers; allowed: 1 to {config.num_hidden_layers}"
        )


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
