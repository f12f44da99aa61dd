"""Tiny random models for the tests of `models/`."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import models

ARCHITECTURES = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "qwen3": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2},
    "olmo2": {},
    "gemma": {},
    # Caps low enough to show at this size: leaving them out would change the logits.
    "gemma2": {"sliding_window": 4, "attn_logit_softcapping": 0.1, "final_logit_softcapping": 0.5},
    "cohere": {},
    # Its two layer types have rotary embeddings of different base.
    "gemma3_text": {
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "qwen2": {},
    "phi3": {},
    "mixtral": {},
}


@pytest.fixture
def tiny_llama():
    """Function seed -> a Llama of width 16 and vocabulary 97, in evaluation mode."""

    def build(random_seed: int, num_layers: int = 4, tie_embeddings: bool = False):
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
        return models.new_seed_model(config, random_seed).eval()

    return build


@pytest.fixture
def random_stitches():
    """Function that moves a stitched model's stitches off their start, and returns the model."""

    def randomise(model, random_seed: int = 0):
        generator = torch.Generator().manual_seed(random_seed)
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

    def draw(batch: int, length: int, random_seed: int = 0):
        return torch.randint(0, 97, (batch, length), generator=torch.Generator().manual_seed(random_seed))

    return draw


@pytest.fixture
def tiny_of():
    """Function (model type, seed) -> a causal LM of 3 layers, width 16 and vocabulary 97."""

    def build(model_type: str, random_seed: int):
        config = AutoConfig.for_model(
            model_type,
            vocab_size=97,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.1,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
            head_dim=4,
            **ARCHITECTURES[model_type],
        )
        with torch.random.fork_rng():
            torch.manual_seed(random_seed)
            return AutoModelForCausalLM.from_config(config).eval()

    return build


@pytest.fixture
def off_their_start():
    """Function that moves a combined model's routers and adapters off their start, and returns the model."""

    def move(model, random_seed: int = 0):
        generator = torch.Generator().manual_seed(random_seed)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.rsplit(".")[-1] in ("router", "adapters"):
                    weight.add_(torch.empty_like(weight).normal_(0, 0.5, generator=generator))
        return model

    return move


@pytest.fixture
def stitched_of(tiny_of, random_stitches):
    """Function -> a stitched model whose streams differ in every weight, norms' and biases' too."""

    def build(architecture="llama", num_stitches=2, layout="alternating", num_experts=2):
        hub, *experts = (different(tiny_of(architecture, seed), seed) for seed in range(num_experts + 1))
        named = {f"e{number}": expert for number, expert in enumerate(experts)}
        return random_stitches(models.StitchedForCausalLM.from_models(hub, named, num_stitches, layout))

    return build


def different(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(torch.empty_like(weight).normal_(0, 0.3, generator=generator))
    return model


@pytest.fixture
def padded(tokens):
    """Token ids (2, 9) and their mask: the first row has three tokens of padding on the left."""
    mask = torch.ones(2, 9, dtype=torch.long)
    mask[0, :3] = 0
    return tokens(2, 9) * mask, mask
