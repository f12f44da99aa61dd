"""Low-rank adapters: what trains, what is added to the weights at the end, and what cannot be adapted."""

from __future__ import annotations

import pytest
import torch

import models
from models.low_rank import add_adapters

TOKENS = torch.arange(12).view(2, 6)


def seed(**own):
    return models.new_seed_model(models.seed_config(40, 16, 2, 2, max_length=32, ffn_multiple=8, **own), 0)


def adapted(model, rank=2, alpha=6, dropout=0.0):
    """Adapters that were trained, as if: B is no longer zero."""
    merge = add_adapters(model, rank, alpha, dropout, 0)
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return merge


def test_new_adapters_change_nothing_and_they_alone_train():
    model = seed()
    before = model(TOKENS).logits
    add_adapters(model, 2, 6, 0.0, 0)
    assert torch.equal(model(TOKENS).logits, before)
    trained = {name: weight.shape for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(".lora_A." in name or ".lora_B." in name for name in trained)
    assert len(trained) == 2 * 7 * 2  # two matrices of seven linear layers in two layers; none of the head
    assert not any("lm_head" in name or "embed" in name for name in trained)


def test_the_merged_model_has_w_plus_alpha_over_r_b_a_and_the_logits_of_the_adapted_one():
    model = seed()
    names = [name for name, _ in model.named_parameters()]
    merge = adapted(model)
    layer = model.model.layers[1].mlp.down_proj
    by_hand = (
        layer.weight + 6 / 2 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    ).detach()
    before = model(TOKENS).logits
    merge()
    assert [name for name, _ in model.named_parameters()] == names
    torch.testing.assert_close(model.model.layers[1].mlp.down_proj.weight, by_hand)
    torch.testing.assert_close(model(TOKENS).logits, before, atol=1e-5, rtol=1e-5)
    assert (seed()(TOKENS).logits - before).abs().max() > 0.01


def test_the_first_adapters_follow_from_the_seed_and_leave_the_global_random_state(tmp_path):
    found = []
    for number in (3, 3, 4):
        model = seed()
        torch.manual_seed(len(found))
        expected = torch.rand(1)
        torch.manual_seed(len(found))
        add_adapters(model, 2, 6, 0.0, number)
        assert torch.equal(torch.rand(1), expected)
        found.append(model.model.layers[0].self_attn.q_proj.lora_A["default"].weight)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_reward_head_trains_whole_beside_the_adapters(tmp_path):
    seed().save_pretrained(tmp_path)
    model = models.reward_model(tmp_path, new_head=True)
    add_adapters(model, 2, 6, 0.0, 0)
    whole = [name for name, w in model.named_parameters() if w.requires_grad and "lora" not in name]
    assert whole == ["score.weight"]


def test_stacked_experts_are_refused():
    config = models.moe_config(models.Sparsity(4, 2), 40, 16, 2, 2, max_length=32, ffn_multiple=8)
    with pytest.raises(
        ValueError, match=r"experts.* is no linear layer and would stay as it is; allowed: lora empty"
    ):
        add_adapters(models.new_seed_model(config, 0), 2, 4, 0.0, 0)
