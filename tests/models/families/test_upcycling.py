"""A mixture of copies has the dense model's logits; what cannot be one is refused."""

from __future__ import annotations

import pytest
import torch

from models import (
    Sparsity,
    model_costs,
    new_seed_model,
    qwen3_config,
    seed_config,
    train_flops_per_token,
    upcycle,
)

SIZES = {"num_layers": 4, "num_heads": 4, "num_kv_heads": 2, "ffn_multiple": 16, "max_length": 32}
ATTENTION, FEED_FORWARD, NORMS = 2 * 32 * 32 + 2 * 32 * 16, 3 * 32 * 96, 2 * 32 + 2 * 8


def dense(random_seed=0):
    return new_seed_model(qwen3_config(64, 32, **SIZES), random_seed)


IDS = torch.randint(0, 64, (2, 16), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("members", [1, 2])
def test_copies_have_the_dense_models_logits(members):
    model = dense()
    mixture = upcycle([model] * members, Sparsity(num_experts=4), random_seed=3)
    torch.testing.assert_close(mixture(IDS).logits, model(IDS).logits)
    assert float(mixture.model.layers[1].mlp.gate.weight.detach().abs().sum()) > 0


def test_experts_take_turns_and_the_rest_is_averaged():
    first, second = dense(0), dense(1)
    mixture = upcycle([first, second], Sparsity(num_experts=4), random_seed=0)
    experts = mixture.model.layers[1].mlp.experts
    for place, member in enumerate([first, second, first, second]):
        assert torch.equal(experts.down_proj[place], member.model.layers[1].mlp.down_proj.weight)
        assert torch.equal(experts.gate_up_proj[place][96:], member.model.layers[1].mlp.up_proj.weight)
    mean = (first.model.layers[0].mlp.up_proj.weight + second.model.layers[0].mlp.up_proj.weight) / 2
    torch.testing.assert_close(mixture.model.layers[0].mlp.up_proj.weight, mean)


def test_active_and_total_parameters_and_flops_by_hand():
    mixture = upcycle([dense()], Sparsity(num_experts=8), random_seed=0)
    table = head = 64 * 32
    layers = 4 * (ATTENTION + NORMS) + 2 * FEED_FORWARD + 32
    router = 8 * 32
    costs = model_costs(mixture, 16)
    assert costs.total == layers + 2 * (8 * FEED_FORWARD + router) + table + head
    assert costs.active == layers + 2 * (2 * FEED_FORWARD + router) + table + head
    multiplying = costs.active - table
    assert costs.forward_flops_per_token == 2 * multiplying + 4 * 4 * 32 * 16
    assert train_flops_per_token(mixture, 16) == 3 * costs.forward_flops_per_token
    assert model_costs(mixture.config, 16) == costs


def test_a_llama_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"upcycling from llama: .* normalises queries and keys"):
        upcycle([new_seed_model(seed_config(64, 32, **SIZES), 0)], Sparsity(), 0)


def test_experts_that_do_not_share_out_evenly_are_refused():
    with pytest.raises(ValueError, match="num_experts is 4 for 3 dense models; allowed: a multiple"):
        upcycle([dense()] * 3, Sparsity(num_experts=4), 0)
