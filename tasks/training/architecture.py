"""The configuration of the seed model: from the settings, or that of a pretrained one, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.pretrained_places import read_pretrained
from tasks.training.families import FAMILIES_BY_NAME
from tasks.training.settings import ModelSettings, TrainingSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig


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
) -> PretrainedConfig:
    """Configuration of new weights of the family, in which `end_of_text` begins and ends a text.

    There is no padding token: transformers would keep its embedding from learning.
    """
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": model.hidden_size,
        "num_layers": model.num_layers,
        "num_heads": model.num_heads,
        "num_kv_heads": model.num_kv_heads,
        "max_length": training.sequence_length,
        "ffn_multiple": model.ffn_multiple,
        "tie_embeddings": model.tie_embeddings,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
    }
    return FAMILIES_BY_NAME[model.family].configuration(model, sizes)


def pretrained_architecture(model: ModelSettings, config: PretrainedConfig | None = None) -> PretrainedConfig:
    """Configuration of the seed that starts from `model.pretrained`: the model's own, or one made from it.

    config: that of the pretrained model, where it is known already. Raises ValueError naming the setting where the
    family cannot start from it.
    """
    assert model.pretrained is not None
    own = config or read_config(model.pretrained)
    from_dense = FAMILIES_BY_NAME[model.family].from_dense
    if from_dense is None:
        return own
    try:
        return from_dense(model, own)
    except ValueError as error:
        raise ValueError(f"model.pretrained={model.pretrained!r}: {error}") from error
