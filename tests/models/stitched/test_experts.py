"""Experts dropped from a stitched model and added to it."""

from __future__ import annotations

import copy
import gc
import math
import weakref

import pytest
import torch

from models import StitchedForCausalLM, load_causal_lm

D = 16


@pytest.fixture
def stitched(tiny_llama, random_stitches):
    experts = {name: tiny_llama(seed) for seed, name in enumerate(("code", "math", "legal"), 1)}
    return random_stitches(StitchedForCausalLM.from_models(tiny_llama(0), experts, num_stitches=4))


@pytest.mark.parametrize("name", ["code", "math", "legal"])
@torch.no_grad()
def test_dropped_expert_is_one_whose_gate_logit_is_minus_infinity(stitched, tokens, name):
    shut, input_ids = copy.deepcopy(stitched), tokens(2, 8)
    number = shut.config.expert_names.index(name)
    for stitch in shut.stitches:
        stitch.gate_biases[number + 1] = -math.inf
    before = stitched(input_ids).logits
    stitched.drop_expert(name)
    after = stitched(input_ids, use_cache=False).logits
    assert (after - before).abs().max() > 0.01
    torch.testing.assert_close(after, shut(input_ids).logits, atol=1e-6, rtol=0)
    assert stitched.config.expert_names == [each for each in ("code", "math", "legal") if each != name]
    assert stitched.num_trainable == 4 * 5 * D**2  # K (2n+1) d^2 with n = 2


@torch.no_grad()
def test_gate_after_a_drop_is_the_old_gate_renormalised(stitched):
    generator = torch.Generator().manual_seed(0)
    states = [torch.randn(2, 5, D, generator=generator) for _ in range(4)]
    stitch = stitched.stitches[3]
    old, _ = stitch.gates_and_messages(states)
    stitched.drop_expert("math")
    new, _ = stitched.stitches[3].gates_and_messages([states[0], states[1], states[3]])
    left = [old[0], old[1], old[3]]
    for gate, expected in zip(new, left, strict=True):
        torch.testing.assert_close(gate, expected / sum(left), atol=1e-6, rtol=0)


@torch.no_grad()
def test_dropping_releases_weights_and_cache_slots(stitched, tokens, tmp_path):
    gone = weakref.ref(stitched.experts[1].layers[0].mlp.up_proj.weight)
    count = sum(weight.numel() for weight in stitched.parameters())
    one_expert = sum(weight.numel() for weight in stitched.experts[1].parameters())
    stitched.drop_expert("math")
    gc.collect()
    assert gone() is None
    assert sum(weight.numel() for weight in stitched.parameters()) == count - one_expert - 4 * 2 * D**2
    input_ids = tokens(2, 9)
    whole = stitched(input_ids, use_cache=False).logits
    first = stitched(input_ids[:, :5], use_cache=True)
    assert len(first.past_key_values) == 3 * 4
    second = stitched(input_ids[:, 5:], past_key_values=first.past_key_values)
    torch.testing.assert_close(second.logits, whole[:, 5:], atol=1e-5, rtol=0)
    stitched.save_pretrained(tmp_path)
    assert torch.equal(load_causal_lm(tmp_path)(input_ids, use_cache=False).logits, whole)


def test_what_cannot_be_dropped(stitched):
    with pytest.raises(ValueError, match="no expert 'poems' to drop; allowed: code, math, legal"):
        stitched.drop_expert("poems")
    stitched.drop_expert("code")
    stitched.drop_expert("legal")
    with pytest.raises(ValueError, match="expert 'math' is the only one"):
        stitched.drop_expert("math")


def new_weights(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_only_the_added_expert_trains_even_with_weight_decay(stitched, tiny_llama, tokens):
    stitched.add_expert("poems", tiny_llama(4))
    assert stitched.num_trainable == 4 * 2 * D**2 == sum(p.numel() for p in stitched.stitch_parameters())
    before = {name: weight.detach().clone() for name, weight in stitched.named_parameters()}
    optimizer = torch.optim.AdamW(stitched.stitch_parameters(), lr=1e-2, weight_decay=0.5)
    input_ids = tokens(4, 16)
    stitched.train()
    losses = []
    for _ in range(15):
        loss = stitched(input_ids, labels=input_ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05
    changed = {name for name, weight in stitched.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == new_weights(stitched)
    assert all(".newest." in name for name in changed)
    assert all(name.endswith((".gate", ".projections")) for name in changed)


@pytest.mark.parametrize("layout", ["alternating", "experts-into-hub"])
@torch.no_grad()
def test_gate_bias_keeps_the_old_output(tiny_llama, tokens, layout):
    """Zero gates: bias b gives the new expert e^b / (e^b + 3) of each mix into the hub, 0.6% at b = -4.

    Tolerance: log-probabilities, which reach from -6 to -3 here, move by less than 0.01 for each stitch into the
    hub, and by less than a tenth of what no bias moves them by.
    """
    hub = tiny_llama(0)
    model = StitchedForCausalLM.from_models(hub, {"code": tiny_llama(1), "math": tiny_llama(2)}, 4, layout)
    input_ids = tokens(2, 10)
    before = model(input_ids).logits.log_softmax(-1)

    def moved_by(gate_bias):
        added = copy.deepcopy(model)
        added.add_expert("new", tiny_llama(3), gate_bias)
        rows = [row for row in added.gate_statistics(input_ids) if row["kind"] == "experts-into-hub"]
        weight = math.exp(gate_bias or 0)
        new_gates = [row["gate_mean"] for row in rows if row["stream"] == "new"]
        assert new_gates == pytest.approx([weight / (weight + 3)] * len(new_gates), rel=1e-5)
        return (added(input_ids).logits.log_softmax(-1) - before).abs().max().item()

    protected, bare = moved_by(-4.0), moved_by(None)
    assert 0 < protected < 0.01 * sum(place.kind == "experts-into-hub" for place in model.places)
    assert protected < bare / 10
    assert moved_by(-30.0) < 1e-6


@torch.no_grad()
def test_biased_stitch_moves_the_hub_by_no_more_than_the_new_gate_lets_in(stitched, tiny_llama):
    """Per channel h0' moves by g_new |p_new - h0'_old|, whatever the old gates are."""
    generator = torch.Generator().manual_seed(1)
    states = [torch.randn(2, 5, D, generator=generator) for _ in range(5)]
    old = stitched.stitches[3](states[:4])[0]
    stitched.add_expert("new", tiny_llama(4), gate_bias=-4)
    stitch = stitched.stitches[3]
    gates, messages = stitch.gates_and_messages(states)
    expected = gates[-1] * (messages[-1] - old)
    torch.testing.assert_close(stitch(states)[0] - old, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("gate_bias", [None, -4.0])
@torch.no_grad()
def test_added_expert_survives_saving(stitched, tiny_llama, tokens, tmp_path, gate_bias):
    stitched.add_expert("new", tiny_llama(4), gate_bias)
    for stitch in stitched.stitches:
        stitch.newest.gate.normal_(0, 0.5)
        stitch.newest.projections.add_(0.1)
    stitched.save_pretrained(tmp_path)
    loaded, input_ids = load_causal_lm(tmp_path), tokens(2, 8)
    assert torch.equal(loaded(input_ids).logits, stitched(input_ids).logits)
    assert new_weights(loaded) == new_weights(stitched)
    assert loaded.num_trainable == 4 * 2 * D**2
    biases = [0.0, 0.0, 0.0, 0.0, gate_bias or 0.0]
    assert all(stitch.gate_biases == biases for stitch in loaded.stitches)
    loaded.train_all_stitches()
    assert loaded.num_trainable == 4 * 9 * D**2
    torch.testing.assert_close(loaded(input_ids).logits, stitched(input_ids).logits, atol=1e-6, rtol=0)
    loaded.save_pretrained(tmp_path)
    again = load_causal_lm(tmp_path)
    assert torch.equal(again(input_ids).logits, loaded(input_ids).logits)
    assert again.num_trainable == 4 * 9 * D**2


@torch.no_grad()
def test_adding_equals_having_been_there(tiny_llama, random_stitches, tokens):
    hub, code, math_ = (tiny_llama(seed) for seed in range(3))
    grown = StitchedForCausalLM.from_models(hub, {"code": code}, 4)
    grown.add_expert("math", math_)
    grown.train_all_stitches()
    whole = StitchedForCausalLM.from_models(hub, {"code": code, "math": math_}, 4)
    input_ids = tokens(2, 8)
    assert torch.equal(random_stitches(grown)(input_ids).logits, random_stitches(whole)(input_ids).logits)
    assert math_.model.norm.weight.shape == (D,)  # the model given stays as it was


@torch.no_grad()
def test_add_then_drop_gives_the_model_of_before(stitched, tiny_llama, tokens):
    input_ids = tokens(2, 8)
    before, trained = stitched(input_ids, use_cache=False).logits, new_weights(stitched)
    stitched.add_expert("new", tiny_llama(4), gate_bias=-4)
    stitched.drop_expert("new")
    assert torch.equal(stitched(input_ids, use_cache=False).logits, before)
    assert new_weights(stitched) == trained
    assert stitched.config.gate_biases == {}


@torch.no_grad()
def test_newest_stays_apart_when_all_others_are_dropped(stitched, tiny_llama, tokens, tmp_path):
    stitched.add_expert("new", tiny_llama(4))
    for name in ("code", "math", "legal"):
        stitched.drop_expert(name)
    assert stitched.num_trainable == 4 * 2 * D**2
    stitched.save_pretrained(tmp_path)
    input_ids = tokens(2, 8)
    assert torch.equal(load_causal_lm(tmp_path)(input_ids).logits, stitched(input_ids).logits)
    stitched.train_all_stitches()
    assert stitched.num_trainable == 4 * 3 * D**2


def test_only_the_last_of_two_added_experts_trains(stitched, tiny_llama):
    stitched.add_expert("new", tiny_llama(4))
    stitched.add_expert("newer", tiny_llama(5))
    assert stitched.num_trainable == 4 * 2 * D**2
    assert all(len(stitch.projections) == 4 for stitch in stitched.stitches)


def test_what_cannot_be_added(stitched, tiny_llama):
    weights = {name: id(weight) for name, weight in stitched.named_parameters()}
    for name, model, bias, message in (
        ("code", tiny_llama(4), None, "each name once"),
        ("hub", tiny_llama(4), None, "expert name is 'hub'"),
        ("new", tiny_llama(4, num_layers=3), None, "expert 'new': num_hidden_layers is 3 but the hub's is 4"),
        ("new", tiny_llama(4).bfloat16(), None, r"dtype is torch\.bfloat16 but the hub's is torch\.float32"),
        ("new", tiny_llama(4), -math.inf, "gate bias of expert 'new' is -inf; allowed: a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            stitched.add_expert(name, model, bias)
    assert {name: id(weight) for name, weight in stitched.named_parameters()} == weights
