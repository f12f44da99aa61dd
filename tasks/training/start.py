"""The model that the training run of a seed starts from: new, pretrained, or made from a pretrained one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.training.architecture import seed_architecture
from tasks.training.families.moe_family import MoeModel
from tasks.training.settings import ModelSettings, TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def start_of(
    model: ModelSettings, training: TrainingSettings, corpus: Path, random_seed: int, folder: Path
) -> str:
    """What a seed trains on from: the pretrained model's place, or a folder that the model is saved into.

    folder: for a new model, for the tokenizer of the corpus, or one that is made from the pretrained one.
    """
    if model.pretrained is not None:
        if not isinstance(model, MoeModel):
            return model.pretrained
        pretrained_model(model, random_seed).save_pretrained(folder)
        return str(folder)
    import models
    from tasks.sources.tokenization import load_tokenizer

    tokenizer = load_tokenizer(corpus / "tokenizer")
    config = seed_architecture(model, training, len(tokenizer), tokenizer.eos_token_id)
    models.new_seed_model(config, random_seed).save_pretrained(folder)
    return str(folder)


def pretrained_model(model: ModelSettings, random_seed: int) -> PreTrainedModel:
    """The pretrained model, loaded; a mixture of experts made from it where the settings say so."""
    import models

    loaded = models.load_causal_lm(str(model.pretrained))
    return models.upcycle([loaded], model.sparsity, random_seed) if isinstance(model, MoeModel) else loaded
