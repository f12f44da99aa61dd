"""The new model that a training run from scratch starts from."""

from __future__ import annotations

from pathlib import Path

from tasks.training.architecture import seed_architecture
from tasks.training.settings import ModelSettings, TrainingSettings


def new_model(
    model: ModelSettings, training: TrainingSettings, corpus: Path, random_seed: int, folder: Path
) -> str:
    """Saves a new model for the tokenizer of the corpus into `folder`, and returns the folder's path."""
    import models
    from tasks.sources.tokenization import load_tokenizer

    tokenizer = load_tokenizer(corpus / "tokenizer")
    config = seed_architecture(model, training, len(tokenizer), tokenizer.eos_token_id)
    models.new_seed_model(config, random_seed).save_pretrained(folder)
    return str(folder)
