"""Balance loss, capacity and drops of mixtures of experts, by hand; where transformers' own loss is another."""

from __future__ import annotations

import math

import pytest
import torch
from transformers.models.qwen3_moe.modeling_qwen3_moe import load_balancing_loss_func

from models import Sparsity, TrainedRouters, moe_config, new_seed_model
from models.families.expert_routing import balance_loss, capacity_of, choose, first_choices, shares_of

E = 4


def of_layer(logits, mask=None):
    choices = choose(logits, 2, None, mask)
    gates = choices.gates if mask is None else choices.gates * mask[:, None]
    tokens = len(logits) if mask is None else mask.sum()
    return float(balance_loss(gates.sum(dim=0), first_choices(choices, mask), tokens))


def all_to(expert, tokens=12, strength=3.0):
    logits = torch.zeros(tokens, E, dtype=torch.float64)
    logits[:, expert] = strength
    return logits


@pytest.fixture
def drawn():
    return torch.randn(24, E, generator=torch.Generator().manual_seed(0))


def test_uniform_routing_gives_exactly_one():
    """Gates of 1/E: exactly. First choices in turn, with mean gates of 1/E: but for the rounding of the gates."""
    assert of_layer(torch.zeros(12, E)) == 1.0
    assert of_layer(2.0 * torch.eye(E).repeat(3, 1)) == pytest.approx(1.0, rel=1e-6)


def test_all_to_one_gives_experts_times_its_mean_gate():
    gate = math.exp(3) / (math.exp(3) + E - 1)
    assert of_layer(all_to(2)) == pytest.approx(E * gate, rel=1e-6)


def test_padding_leaves_it_unchanged(drawn):
    mask = torch.tensor([True] * 24 + [False] * 8)
    padded = torch.cat([drawn, all_to(0, 8).float()])
    assert of_layer(padded, mask) == pytest.approx(of_layer(drawn), rel=1e-6)
    assert of_layer(padded) != pytest.approx(
        of_layer(drawn), rel=1e-2
    )  # what counting the padding would give


def test_sums_over_parts_of_a_batch_give_the_loss_of_the_whole(drawn):
    parts = [choose(part, 2, None) for part in drawn.split(6)]
    gates = torch.stack([part.gates.sum(dim=0) for part in parts]).sum(dim=0)
    counts = torch.stack([first_choices(part) for part in parts]).sum(dim=0)
    assert float(balance_loss(gates, counts, 24)) == pytest.approx(of_layer(drawn), rel=1e-6)


def test_layers_are_not_pooled_as_transformers_pools_them():
    """Two layers that each send all to one expert of their own: pooled, they look half as bad as each is."""
    layers = (all_to(0).float(), all_to(1).float())
    gate = math.exp(3) / (math.exp(3) + E - 1)
    other = 1 / (math.exp(3) + E - 1)
    assert [of_layer(layer) for layer in layers] == pytest.approx([E * gate] * 2, rel=1e-6)
    # top-1 of theirs is our form but for the pooling: share 1/2 and mean gate (gate + other) / 2 of two experts
    theirs = float(load_balancing_loss_func(layers, E, top_k=1))
    assert theirs == pytest.approx(E * 2 * 0.5 * (gate + other) / 2, rel=1e-6)
    assert theirs < 0.6 * of_layer(layers[0])
    assert float(load_balancing_loss_func((2.0 * torch.eye(E).repeat(3, 1),), E, top_k=2)) == pytest.approx(
        2.0
    )


@pytest.mark.parametrize(
    ("tokens", "experts", "factor", "slots"), [(8, 4, 2, 4), (9, 4, 2, 6), (9, 4, 1.5, 5), (3, 8, 0.5, 1)]
)
def test_capacity(tokens, experts, factor, slots):
    assert capacity_of(tokens, experts, factor) == slots


def test_second_choices_queue_after_all_first_ones():
    """Two slots an expert. Expert 0 is first for tokens 0, 1, 4 and second for 2, 3; expert 1 the other way round."""
    logits = torch.tensor([[3.0, 2, 0, 0], [3, 2, 0, 0], [2, 3, 0, 0], [2, 3, 0, 0], [3, 2, 0, 0]])
    choices = choose(logits, 2, capacity=2)
    assert choices.experts.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0], [0, 1]]
    assert choices.kept.tolist() == [
        [True, False],
        [True, False],
        [True, False],
        [True, False],
        [False, False],
    ]
    shares = shares_of(choices, normalised=True)
    assert shares.tolist() == [[1, 0], [1, 0], [1, 0], [1, 0], [0, 0]]
    gates = torch.softmax(torch.tensor([3.0, 2, 0, 0]), -1)
    assert shares_of(choices, normalised=False)[0].tolist() == pytest.approx([float(gates[0]), 0])


def test_padding_takes_no_slot():
    logits = torch.tensor([[3.0, 2, 0, 0]] * 4)
    kept = choose(logits, 1, capacity=2, mask=torch.tensor([False, False, True, True])).kept
    assert kept[:, 0].tolist() == [False, False, True, True]


@pytest.fixture
def model():
    sparsity = Sparsity(num_experts=4, capacity_factor=None)
    config = moe_config(sparsity, 64, 32, num_layers=4, num_heads=4, ffn_multiple=16, max_length=32)
    return new_seed_model(config, 0)


def test_every_second_layer_has_experts_and_transformers_loads_it(model, tmp_path):
    from transformers import AutoModelForCausalLM

    sparse = [hasattr(layer.mlp, "experts") for layer in model.model.layers]
    assert sparse == [False, True, False, True]
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.config.capacity_factor is None and loaded.config.num_experts_per_tok == 2
    ids = torch.arange(8)[None]
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits)


def test_without_drops_training_routes_as_transformers_does(model):
    ids = torch.randint(0, 64, (2, 16), generator=torch.Generator().manual_seed(1))
    own = model(ids).logits
    model.train()
    routers = TrainedRouters(model)
    torch.testing.assert_close(model(ids).logits, own)
    routers.remove()


def test_the_loss_is_the_weighted_sum_over_layers_and_reaches_the_routers(model):
    ids = torch.randint(0, 64, (2, 16), generator=torch.Generator().manual_seed(1))
    model.train()
    expected = sum(
        0.01 * of_layer(logits.detach()) for logits in model(ids, output_router_logits=True).router_logits
    )
    routers = TrainedRouters(model)
    routers.begin_step()
    model(ids)
    loss = routers.loss()
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert all(float(model.model.layers[at].mlp.gate.weight.grad.abs().sum()) > 0 for at in (1, 3))
    routers.remove()


def test_frozen_routers_are_left_alone(model):
    model.requires_grad_(False)
    routers = TrainedRouters(model.train())
    assert not routers and routers.loss() == 0.0


def test_drops_are_counted_by_choice_and_by_source():
    """One slot an expert: of 16 tokens a layer at most 4 choices are kept."""
    sparsity = Sparsity(num_experts=4, capacity_factor=0.25)
    config = moe_config(sparsity, 64, 32, num_layers=2, num_heads=4, ffn_multiple=16, max_length=32)
    model = new_seed_model(config, 0).train()
    routers = TrainedRouters(model, num_sources=3)
    routers.begin_step()
    routers.reads(torch.tensor([2, 0]))
    model(torch.randint(0, 64, (2, 8), generator=torch.Generator().manual_seed(1)))
    (sums,) = routers.sums()
    assert sum(sums["first"]) == 16 and sum(sums["load"]) == 32
    kept = 32 - sum(sums["dropped"])
    assert 1 <= kept <= 4
    tokens, first, second = zip(*sums["sources"], strict=True)
    assert tokens == (8, 0, 8)
    assert [sum(first), sum(second)] == sums["dropped"]
    assert 0 < sums["entropy"][0] / 16 <= math.log(4) + 1e-6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_experts": 1}, "num_experts is 1; allowed: at least 2"),
        ({"num_experts": 2, "top_k": 3}, "top_k is 3; allowed: 1 to num_experts = 2"),
        ({"capacity_factor": 0.0}, "capacity_factor is 0.0; allowed: above 0"),
        ({"capacity_factor": math.nan}, "capacity_factor is nan"),
        ({"sparse_step": 5}, "none of 4 layers holds experts"),
        ({"balance_weight": -1.0}, "balance_weight is -1.0"),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        moe_config(Sparsity(**given), 64, 32, num_layers=4, num_heads=4)
