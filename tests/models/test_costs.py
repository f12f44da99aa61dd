"""What each kind of model costs: by hand at a small size, and the published table at its own."""

from __future__ import annotations

import pytest

from models import (
    EnsembleConfig,
    RoutedConfig,
    StitchedConfig,
    StitchedForCausalLM,
    UpcycledConfig,
    model_costs,
    new_seed_model,
    seed_config,
    train_flops_per_token,
)
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME

# One layer of width 32: attention 2 (32*32) + 2 (32*16), feed-forward 3 (32*96), two norms.
ATTENTION, FEED_FORWARD, NORMS = 3072, 9216, 64
HEAD = TABLE = 100 * 32
LENGTH = 64
SEED = 2 * (ATTENTION + FEED_FORWARD + NORMS) + 32 + HEAD  # what multiplies
SCORES = 4 * 32 * LENGTH  # attention of one layer: scores and values


@pytest.fixture
def seed():
    config = seed_config(100, 32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_multiple=16)
    return new_seed_model(config, 0)


@pytest.fixture
def build(seed):
    return lambda name: COMPOSITIONS_BY_NAME[name].combine(seed, {"a": seed, "b": seed})


def test_plain_model(seed):
    assert model_costs(seed, LENGTH) == (SEED + TABLE, SEED + TABLE, SEED + TABLE, 2 * SEED + 2 * SCORES)
    assert model_costs(seed.config, LENGTH) == model_costs(seed, LENGTH)


@pytest.mark.parametrize("name", ["soup", "ties", "dare-linear", "dare-ties"])
def test_merged_weights_cost_what_the_seed_does(name, seed, build):
    assert model_costs(build(name), LENGTH) == model_costs(seed, LENGTH)


def test_ensemble_and_routing_run_all_members(build):
    total = 3 * (SEED + TABLE)
    assert model_costs(build("btm"), LENGTH) == (0, total, total, 3 * (2 * SEED + 2 * SCORES))
    router = 3 * 32
    forward = 3 * (2 * SEED + 2 * SCORES) + 2 * router
    routing = build("routing")
    assert model_costs(routing, LENGTH) == (router, total + router, total + router, forward)
    # Members run without gradients; only the router has a backward pass.
    assert train_flops_per_token(routing, LENGTH) == forward + 4 * router


def test_soft_mixtures_run_all_blocks(build):
    router = 3 * 32
    btx = SEED + 2 * (2 * FEED_FORWARD + router)
    total = btx + TABLE
    assert model_costs(build("btx-soft"), LENGTH) == (total, total, total, 2 * btx + 2 * SCORES)
    assert train_flops_per_token(build("btx-soft"), LENGTH) == 3 * (2 * btx + 2 * SCORES)
    bam = btx + 2 * (2 * ATTENTION + router)
    assert model_costs(build("bam"), LENGTH)[1:] == (bam + TABLE, bam + TABLE, 2 * bam + 6 * SCORES)
    trained = 2 * 2 * (3 * 32 * 32 + router)
    adapted = bam + 2 * 2 * 3 * 32 * 32
    adapters = build("bam-adapters")
    assert model_costs(adapters, LENGTH)[:2] == (trained, adapted + TABLE)
    expected = 4 * (adapted - trained) + 6 * trained + 3 * 6 * SCORES
    assert train_flops_per_token(adapters, LENGTH) == expected


def test_sampled_mixture_runs_one_block_of_the_second_layer(build):
    total = SEED + TABLE + 2 * (2 * FEED_FORWARD + 3 * 32)
    active = total - 2 * FEED_FORWARD
    costs = model_costs(build("btx-sampled"), LENGTH)
    assert costs[:3] == (total, total, active)
    assert costs.forward_flops_per_token == pytest.approx(2 * (active - TABLE) + 2 * SCORES)


def test_stitched_model_runs_all_streams_and_one_head(seed):
    model = StitchedForCausalLM.from_models(seed, {"a": seed, "b": seed}, 2)
    stitches = 2 * 5 * 32**2
    multiplying = 3 * (SEED - HEAD - 32) + 32 + HEAD + stitches
    total = multiplying + 3 * TABLE
    assert model_costs(model, LENGTH) == (stitches, total, total, 2 * multiplying + 6 * SCORES)


def test_table_2_of_the_bts_paper():
    """Its 2.7B seed, with feed-forwards of 8192 and an output head untied: what all its other counts give.

    The stitched model is 1.2B smaller than there, since experts' heads are not kept, and the router 12k, not
    15k. Routing's 2.7B active weights are those of one model (see `model_costs`).
    """
    seed = seed_config(128_000, 3072, num_layers=20, num_heads=24, num_kv_heads=1, ffn_multiple=256)
    assert seed.intermediate_size == 8192
    names = ["code", "multilingual", "math"]

    def billions(config_class, **options):
        costs = model_costs(config_class(base_config=seed, expert_names=names, **options), 2048)
        return tuple(round(count / 1e9, 1) for count in costs[:3])

    assert round(model_costs(seed, 2048).total / 1e9, 1) == 2.7
    assert billions(UpcycledConfig, routing="sampled") == (7.2, 7.2, 2.9)
    assert billions(UpcycledConfig) == (7.2, 7.2, 7.2)
    assert billions(UpcycledConfig, mixes_attention=True) == (8.4, 8.4, 8.4)
    assert billions(UpcycledConfig, mixes_attention=True, adapters=True) == (1.5, 9.9, 9.9)
    assert billions(EnsembleConfig) == (0.0, 10.8, 10.8)
    assert billions(RoutedConfig)[:2] == (0.0, 10.8)
    stitched = model_costs(StitchedConfig(base_config=seed, expert_names=names), 2048)
    assert round(stitched.trained / 1e6) == 264
    assert round((stitched.total + 3 * (128_000 * 3072 + 3072)) / 1e9, 1) == 11.0


@pytest.mark.parametrize("count", [model_costs, train_flops_per_token])
def test_no_length_is_refused(seed, count):
    with pytest.raises(ValueError, match="length is 0; allowed: at least 1 token"):
        count(seed, 0)
