"""A tiny model and corpus to train on."""

from __future__ import annotations

import numpy as np
import pytest

import models
from tasks.training.jobs import TrainingJob
from tasks.training.settings import TrainingSettings
from tasks.training.token_order import TokenOrder

VOCABULARY = 64


@pytest.fixture
def new_model():
    def build(random_seed: int = 0):
        config = models.seed_config(VOCABULARY, 32, 2, 2, max_length=32, ffn_multiple=16, tie_embeddings=True)
        return models.new_seed_model(config, random_seed)

    return build


@pytest.fixture
def tokens():
    """Text that can be learned: each token is followed by the next one, with some noise."""
    generator = np.random.default_rng(0)
    text = np.cumsum(generator.choice([1, 1, 1, 5], 20_000)) % VOCABULARY
    return text.astype(np.uint16)


@pytest.fixture
def settings():
    return TrainingSettings(sequence_length=32, batch_size=8, learning_rate=1e-2)


@pytest.fixture
def token_order(tokens):
    def build(num_sequences: int):
        return TokenOrder({"text": tokens}, {"text": num_sequences}, {}, 32, "seed", 0)

    return build


@pytest.fixture
def job(new_model, tokens, settings, tmp_path):
    def build(name: str, **changes):
        new_model().save_pretrained(tmp_path / "start")
        tokens.tofile(tmp_path / "text.bin")
        folder = tmp_path / name
        folder.mkdir()
        return TrainingJob(
            model=str(tmp_path / "start"),
            out=str(folder / "model"),
            progress=str(folder / "progress"),
            tokens={"text": str(tmp_path / "text.bin")},
            token_dtype="<u2",
            plan={"text": 4 * settings.tokens_per_step},
            used={},
            learning_rate=1e-2,
            name="seed",
            random_seed=0,
            settings=settings.model_copy(update=changes).model_dump(mode="json"),
        )

    return build
