"""Tiny random models for the tests of `models/`."""

from __future__ import annotations

import pytest
import torch

import models


@pytest.fixture
def tiny_llama():
    """Function seed -> a Llama of width 16 and vocabulary 97, in evaluation mode."""

    def build(seed: int, num_layers: int = 4, tie_embeddings: bool = False):
        config = models.seed_config(
            vocab_size=97,
            hidden_size=16,
            num_layers=num_layers,
            num_heads=4,
            num_kv_heads=2,
            max_length=64,
            ffn_multiple=8,
            tie_embeddings=tie_embeddings,
        )
        config.initializer_range = 0.1  # layers that change their states, so that a wrong state shows
        return models.new_seed_model(config, seed).eval()

    return build


@pytest.fixture
def random_stitches():
    """Function that moves a stitched model's stitches off their start, and returns the model."""

    def randomise(model, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for stitch in model.stitches:
                stitch.gate.normal_(0, 0.5, generator=generator)
                stitch.projections.add_(
                    torch.empty_like(stitch.projections).normal_(0, 0.2, generator=generator)
                )
        return model

    return randomise


@pytest.fixture
def tokens():
    """Function (batch, length) -> token ids below 97."""

    def draw(batch: int, length: int, seed: int = 0):
        return torch.randint(0, 97, (batch, length), generator=torch.Generator().manual_seed(seed))

    return draw
