"""Families of seeds in a recipe: told apart by name, refused where they do not fit, today's recipes as they were."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter
from transformers import LlamaConfig, LlamaForCausalLM

import models
from flows.settings import Experiment
from tasks.training.architecture import pretrained_architecture, seed_architecture
from tasks.training.families import FAMILIES, ModelChoice
from tasks.training.families.moe_family import MoeModel, dense_twin
from tasks.training.settings import ModelSettings, TrainingSettings
from tasks.training.start import start_of

CHOICE: TypeAdapter = TypeAdapter(ModelChoice)
SMALL = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "ffn_multiple": 16}


def test_a_recipe_without_a_family_is_a_llama_as_it_was():
    """Field by field, and weight by weight from transformers' own class and the same seed."""
    given = CHOICE.validate_python(SMALL)
    assert type(given) is ModelSettings
    config = seed_architecture(given, TrainingSettings(sequence_length=64), 100, 3)
    written_out = LlamaConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=3,
        eos_token_id=3,
    )
    assert config.to_dict() == written_out.to_dict()
    torch.manual_seed(7)
    theirs = LlamaForCausalLM(written_out)
    ours = models.new_seed_model(config, 7)
    for name, weight in theirs.named_parameters():
        assert torch.equal(weight, ours.get_parameter(name))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_makes_a_model_that_transformers_knows(family):
    settings = family.settings(**SMALL)
    config = seed_architecture(settings, TrainingSettings(sequence_length=64), 100)
    model = models.new_seed_model(config, 0)
    assert type(model).__module__.startswith("transformers.models.")
    assert models.model_costs(config, 16).total == sum(weight.numel() for weight in model.parameters())
    assert CHOICE.validate_python({"family": family.name, **SMALL}) == settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"family": "mo"}, "no such family .did you mean moe"),
        ({"num_experts": 4}, "num_experts=4 has no effect with family 'llama'; allowed: with 'moe'"),
        ({"family": "moe", "num_experts": 2, "top_k": 3}, "num_experts=2 is fewer than top_k=3"),
        ({"family": "moe", "num_experts": 1}, "greater than or equal to 2"),
        ({"family": "moe", "top_k": 0}, "greater than or equal to 1"),
        ({"family": "moe", "capacity_factor": 0}, "greater than 0"),
        ({"family": "moe", "capacity_factor": -1}, "greater than 0"),
        ({"family": "moe", "capacity_factor": float("inf")}, "finite"),
        ({"family": "moe", "balance_weight": -0.1}, "greater than or equal to 0"),
        ({"family": "moe", "num_layers": 2, "sparse_step": 3}, "sparse_step=3 leaves none of num_layers=2"),
        ({"family": "moe", "pretrained": "x"}, "upcycle=false with pretrained='x'"),
        ({"family": "moe", "upcycle": True}, "upcycle=true with no `pretrained`"),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Experiment(model=given)


def test_the_dense_twin_has_the_sizes_of_the_mixture():
    mixture = MoeModel(**SMALL, num_experts=4)
    twin = dense_twin(mixture)
    training = TrainingSettings(sequence_length=64)
    dense, sparse = (seed_architecture(model, training, 100) for model in (twin, mixture))
    for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "head_dim", "tie_word_embeddings"):
        assert getattr(dense, name) == getattr(sparse, name)
    # one more feed-forward block and a router in one of two layers
    costs = [models.train_flops_per_token(config, 64) for config in (dense, sparse)]
    assert costs[1] - costs[0] == 6 * (3 * 32 * 96 + 4 * 32)
    with pytest.raises(ValueError, match=r"model.family='llama'"):
        dense_twin(ModelSettings())


def test_a_seed_starts_from_a_dense_model_that_is_upcycled(tmp_path):
    dense = models.new_seed_model(models.qwen3_config(100, 32, 2, 2, ffn_multiple=16, max_length=64), 0)
    dense.save_pretrained(tmp_path / "dense")
    settings = MoeModel(pretrained=str(tmp_path / "dense"), upcycle=True, num_experts=4)
    start = start_of(settings, TrainingSettings(), tmp_path, 0, tmp_path / "start")
    seed = models.load_causal_lm(start)
    ids = torch.arange(12)[None]
    torch.testing.assert_close(seed(ids).logits, dense(ids).logits)
    planned = pretrained_architecture(settings)
    assert models.model_costs(planned, 16).total == models.model_costs(seed, 16).total


def test_a_llama_that_is_to_be_upcycled_is_refused_by_its_setting(tmp_path):
    models.new_seed_model(models.seed_config(100, 32, 2, 2, ffn_multiple=16), 0).save_pretrained(tmp_path)
    settings = MoeModel(pretrained=str(tmp_path), upcycle=True)
    with pytest.raises(ValueError, match=r"model.pretrained=.*upcycling from llama"):
        pretrained_architecture(settings)
