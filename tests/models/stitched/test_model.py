"""The stitched model as a model to train, generate from and look into."""

from __future__ import annotations

import pytest
import torch

from models import StitchedForCausalLM, new_seed_model, seed_config


@pytest.fixture
def stitched(tiny_llama, random_stitches):
    model = StitchedForCausalLM.from_models(
        tiny_llama(0), {"code": tiny_llama(1), "math": tiny_llama(2)}, num_stitches=2
    )
    return random_stitches(model)


@pytest.mark.parametrize(("num_stitches", "num_experts"), [(1, 1), (2, 3), (4, 2)])
def test_trainable_weights_are_k_times_2n_plus_1_times_d_squared(tiny_llama, num_stitches, num_experts):
    experts = {str(seed): tiny_llama(seed) for seed in range(num_experts)}
    model = StitchedForCausalLM.from_models(tiny_llama(0), experts, num_stitches)
    expected = num_stitches * (2 * num_experts + 1) * 16**2
    assert model.num_trainable == expected
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == expected
    assert {id(p) for p in model.stitch_parameters()} == {
        id(p) for p in model.parameters() if p.requires_grad
    }


def test_models_given_stay_as_they_were(tiny_llama):
    hub, expert = tiny_llama(0), tiny_llama(1)
    state = torch.get_rng_state()
    model = StitchedForCausalLM.from_models(hub, {"a": expert}, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.requires_grad for parameter in [*hub.parameters(), *expert.parameters()])
    assert expert.model.layers[3].self_attn.layer_idx == 3
    with torch.no_grad():
        model.hub.lm_head.weight.zero_()
    assert hub.lm_head.weight.abs().max() > 0


def test_gradient_reaches_every_stitch_and_nothing_else(stitched, tokens):
    input_ids = tokens(2, 8)
    loss = stitched(input_ids, labels=input_ids).loss
    loss.backward()
    for stitch in stitched.stitches:
        assert stitch.projections.grad.abs().amax(dim=(1, 2)).min() > 0
        used = stitch.gate.grad[1:] if stitch.kind == "hub-into-experts" else stitch.gate.grad
        assert used.abs().amax(dim=(1, 2)).min() > 0
    frozen = [*stitched.hub.parameters(), *stitched.experts.parameters()]
    assert all(parameter.grad is None for parameter in frozen)


def test_gate_of_stream_0_is_unused_from_hub_into_experts(stitched, tokens):
    input_ids = tokens(2, 8)
    stitched(input_ids, labels=input_ids).loss.backward()
    assert stitched.stitches[0].kind == "hub-into-experts"
    assert torch.count_nonzero(stitched.stitches[0].gate.grad[0]) == 0


@torch.no_grad()
def test_loss_is_next_token_cross_entropy_without_ignored_labels(stitched, tokens):
    input_ids = tokens(2, 6)
    labels = input_ids.clone()
    labels[0, 3:] = -100
    output = stitched(input_ids, labels=labels)
    log_probability = torch.log_softmax(output.logits, dim=-1)
    terms = [
        -log_probability[row, position, labels[row, position + 1]]
        for row in range(2)
        for position in range(5)
        if labels[row, position + 1] != -100
    ]
    assert len(terms) == 2 + 5
    torch.testing.assert_close(output.loss, sum(terms) / len(terms))


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # renamed in newer transformers
def test_gradient_checkpointing_changes_no_gradient(stitched, tokens):
    input_ids = tokens(2, 8)
    for stitch in stitched.stitches:
        stitch.dropout.p = 0.0
    stitched.train()

    def gradients():
        stitched.zero_grad()
        stitched(input_ids, labels=input_ids).loss.backward()
        return [parameter.grad.clone() for parameter in stitched.stitch_parameters()]

    plain = gradients()
    stitched.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    assert stitched.is_gradient_checkpointing
    for checkpointed, expected in zip(gradients(), plain, strict=True):
        torch.testing.assert_close(checkpointed, expected)


def test_stitches_learn_under_bf16_autocast(stitched, tokens):
    input_ids = tokens(4, 16)
    optimizer = torch.optim.AdamW(stitched.stitch_parameters(), lr=1e-2)
    stitched.train()
    losses = []
    for _ in range(40):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = stitched(input_ids=input_ids, labels=input_ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5


def test_gate_dropout_acts_in_training_only(stitched, tokens):
    input_ids = tokens(1, 6)
    with torch.no_grad():
        assert torch.equal(stitched(input_ids).logits, stitched(input_ids).logits)
        stitched.train()
        assert not torch.equal(stitched(input_ids).logits, stitched(input_ids).logits)


MISMATCHES = {
    "hidden_size": {"hidden_size": 32},
    "num_hidden_layers": {"num_layers": 3},
    "vocab_size": {"vocab_size": 98},
    "num_key_value_heads": {"num_kv_heads": 4},
    "intermediate_size": {"ffn_multiple": 64},
}


@pytest.mark.parametrize("field", MISMATCHES)
def test_expert_of_another_shape_is_refused(tiny_llama, field):
    hub = tiny_llama(0)
    sizes = {
        "vocab_size": 97,
        "hidden_size": 16,
        "num_layers": 4,
        "num_heads": 4,
        "num_kv_heads": 2,
        "max_length": 64,
        "ffn_multiple": 8,
    }
    expert = new_seed_model(seed_config(**{**sizes, **MISMATCHES[field]}), 0)
    theirs, ours = getattr(expert.config, field), getattr(hub.config, field)
    with pytest.raises(ValueError, match=f"expert 'legal': {field} is {theirs} but the hub's is {ours}"):
        StitchedForCausalLM.from_models(hub, {"code": hub, "legal": expert}, 2)


def test_other_mismatches_are_refused(tiny_llama, tiny_of):
    hub = tiny_llama(0)
    other_angle = tiny_llama(1)
    other_angle.config.rope_parameters["rope_theta"] = 5e5
    with pytest.raises(ValueError, match=r"expert 'a': rope_parameters is .*500000.* hub's is .*10000"):
        StitchedForCausalLM.from_models(hub, {"a": other_angle}, 2)
    with pytest.raises(ValueError, match=r"expert 'a': dtype is torch.bfloat16 .* hub's is torch.float32"):
        StitchedForCausalLM.from_models(hub, {"a": tiny_llama(1).bfloat16()}, 2)
    with pytest.raises(ValueError, match="expert 'a': model_type is 'mistral' but the hub's is 'llama'"):
        StitchedForCausalLM.from_models(hub, {"a": tiny_of("mistral", 0)}, 2)


@pytest.mark.parametrize("experts", [{}, {"hub": 1}, {" ": 1}])
def test_experts_need_names(tiny_llama, experts):
    hub = tiny_llama(0)
    with pytest.raises(ValueError, match="expert"):
        StitchedForCausalLM.from_models(hub, dict.fromkeys(experts, hub), 2)


def test_gate_dropout_of_one_is_refused(tiny_llama):
    with pytest.raises(ValueError, match=r"gate_dropout is 1\.0; allowed"):
        StitchedForCausalLM.from_models(tiny_llama(0), {"a": tiny_llama(1)}, 2, gate_dropout=1.0)


@pytest.mark.parametrize("argument", ["inputs_embeds", "output_hidden_states", "output_attentions"])
def test_what_several_streams_cannot_give_is_refused(stitched, tokens, argument):
    with pytest.raises(ValueError, match=f"{argument} is given"):
        stitched(tokens(1, 3), **{argument: True})
