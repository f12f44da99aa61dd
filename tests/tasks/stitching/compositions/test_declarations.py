"""What compositions say of themselves: names, options, what trains, and their cost before anything is built."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import models
from tasks.stitching.compositions import COMPOSITIONS, COMPOSITIONS_BY_NAME

OPTIONS = {
    "soup": {},
    "ties": {"density": 0.5, "weight": None},
    "dare-linear": {"density": 0.5, "weight": None, "random_seed": 0},
    "dare-ties": {"density": 0.5, "weight": None, "random_seed": 0},
    "btm": {},
    "routing": {"learning_rate": None, "prefix_tokens": 32, "longest_prefix": 256},
    "token-routing": {"learning_rate": None},
    "btx-soft": {"learning_rate": None},
    "btx-sampled": {"learning_rate": None, "temperature": 1.0, "soft_layers": 1},
    "bam": {"learning_rate": None},
    "bam-adapters": {"learning_rate": None},
    "upcycle": {
        "learning_rate": None,
        "members": "all",
        "copies": 1,
        "top_k": 2,
        "sparse_step": 2,
        "capacity_factor": 2.0,
        "balance_weight": 0.01,
        "random_seed": 0,
    },
}


def test_compositions_go_by_name(tiny_llama):
    first, second = tiny_llama(0), tiny_llama(1)
    by_name = COMPOSITIONS_BY_NAME["soup"].combine(first, {"a": second})
    direct = models.uniform_soup([first, second])
    assert torch.equal(by_name.lm_head.weight, direct.lm_head.weight)


@pytest.mark.parametrize("name", OPTIONS)
def test_compositions_say_what_they_take(name):
    shared = {"method": name, "name": None}
    assert COMPOSITIONS_BY_NAME[name].settings().model_dump() == shared | OPTIONS[name]


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_compositions_say_what_they_are(composition):
    assert composition.title and composition.line and composition.paper and composition.equation
    assert composition.is_trained == ("learning_rate" in composition.settings.model_fields)
    described = [field.description for field in composition.settings.model_fields.values()]
    assert all(described[1:])  # all but `method`


def test_options_reach_the_model(tiny_llama):
    seed, experts = tiny_llama(0, 2), {"a": tiny_llama(1, 2), "b": tiny_llama(2, 2)}
    given = {"density": 0.25, "weight": 0.75}
    combine = COMPOSITIONS_BY_NAME["ties"].combine
    direct = models.mergekit_merge("ties", seed, experts, **given)
    assert torch.equal(combine(seed, experts, **given).lm_head.weight, direct.lm_head.weight)
    for name, method in (("dare-linear", "dare_linear"), ("dare-ties", "dare_ties")):
        direct = models.mergekit_merge(method, seed, experts, **given, random_seed=7)
        mine = COMPOSITIONS_BY_NAME[name].combine(seed, experts, **given, random_seed=7)
        assert torch.equal(mine.lm_head.weight, direct.lm_head.weight)
    sampled = COMPOSITIONS_BY_NAME["btx-sampled"].combine(seed, experts, temperature=0.5, soft_layers=2)
    assert (sampled.config.routing, sampled.config.temperature, sampled.config.soft_layers) == (
        "sampled",
        0.5,
        2,
    )
    with pytest.raises(ValueError, match="density"):
        combine(seed, experts, density=1.5)


@pytest.mark.parametrize("tie_embeddings", [False, True])
@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_the_cost_before_building_is_that_of_the_built_model(composition, tie_embeddings, tiny_llama):
    seed = tiny_llama(0, 3, tie_embeddings)
    if composition.name == "upcycle":  # not of a Llama
        config = models.qwen3_config(64, 32, 3, 4, ffn_multiple=16, tie_embeddings=tie_embeddings)
        seed = models.new_seed_model(config, 0)
    model = composition.combine(seed, {"a": seed, "b": seed})
    told = composition.cost(seed.config, 2, 24)
    assert told.parameters == models.count_parameters(model)[0] == models.model_costs(model, 24).total
    if composition.is_trained:
        assert told.trained == models.model_costs(model, 24).trained > 0
        assert told.flops_per_token == models.train_flops_per_token(model, 24)
    else:
        assert (told.trained, told.flops_per_token) == (0, 0)


def test_the_cost_is_that_of_the_settings(tiny_llama):
    seed, composition = tiny_llama(0, 3), COMPOSITIONS_BY_NAME["btx-sampled"]
    soft = composition.cost(seed.config, 2, 24, composition.settings(soft_layers=3))
    assert soft == COMPOSITIONS_BY_NAME["btx-soft"].cost(seed.config, 2, 24)
    assert composition.cost(seed.config, 2, 24).flops_per_token < soft.flops_per_token


def test_naming_the_settings_needs_no_torch():
    code = (
        "import sys; from tasks.stitching.settings import StitchingSettings; StitchingSettings();"
        "print([m for m in ('torch', 'transformers', 'models', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
