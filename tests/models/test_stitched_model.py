"""The stitched model as a model to train, generate from and look into."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from models import StitchedForCausalLM, load_causal_lm, new_seed_model, seed_config


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


@torch.no_grad()
def test_cached_forward_equals_the_uncached(stitched, tokens):
    input_ids = tokens(2, 9)
    whole = stitched(input_ids, use_cache=False).logits
    cache, parts = None, []
    for part in input_ids.split([4, 1, 1, 3], dim=1):
        output = stitched(part, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        parts.append(output.logits)
    assert len(cache) == 3 * 4  # (n+1) L slots
    assert cache.get_seq_length() == 9
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=0)


@torch.no_grad()
def test_logits_to_keep_gives_the_last_positions(stitched, tokens):
    input_ids = tokens(2, 9)
    torch.testing.assert_close(
        stitched(input_ids, logits_to_keep=2).logits, stitched(input_ids).logits[:, -2:]
    )


def greedy(model, input_ids, num_new):
    for _ in range(num_new):
        next_token = model(input_ids, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
        input_ids = torch.cat([input_ids, next_token], dim=1)
    return input_ids


@pytest.mark.parametrize("cache", [{}, {"cache_implementation": "static", "disable_compile": True}])
@torch.no_grad()
def test_generate_is_greedy_decoding(stitched, tokens, cache):
    input_ids = tokens(1, 5)
    generated = stitched.generate(
        input_ids,
        attention_mask=torch.ones_like(input_ids),
        max_new_tokens=8,
        do_sample=False,
        pad_token_id=0,
        **cache,
    )
    assert torch.equal(generated, greedy(stitched, input_ids, 8))


@torch.no_grad()
def test_left_padded_batch_generates_what_each_prompt_does_alone(stitched, tokens):
    prompts = [tokens(1, 3, seed=1), tokens(1, 6, seed=2)]
    padded = torch.zeros(2, 6, dtype=torch.long)
    mask = torch.zeros_like(padded)
    for row, prompt in enumerate(prompts):
        padded[row, 6 - prompt.shape[1] :] = prompt[0]
        mask[row, 6 - prompt.shape[1] :] = 1
    generated = stitched.generate(
        padded, attention_mask=mask, max_new_tokens=8, do_sample=False, pad_token_id=0
    )
    for row, prompt in enumerate(prompts):
        assert torch.equal(generated[row, 6:], greedy(stitched, prompt, 8)[0, prompt.shape[1] :])


def test_gate_statistics_at_the_start(tiny_llama, tokens):
    """Zero gates: softmax over 3 streams is 1/3, sigmoid is 1/2, everywhere."""
    hub = tiny_llama(0)
    model = StitchedForCausalLM.from_models(hub, {"code": tiny_llama(1), "math": tiny_llama(2)}, 2)
    rows = model.gate_statistics(tokens(2, 5))
    assert [(row["stitch"], row["layer"], row["kind"], row["stream"]) for row in rows] == [
        (0, 2, "hub-into-experts", "code"),
        (0, 2, "hub-into-experts", "math"),
        (1, 4, "experts-into-hub", "hub"),
        (1, 4, "experts-into-hub", "code"),
        (1, 4, "experts-into-hub", "math"),
    ]
    assert [row["gate_mean"] for row in rows] == pytest.approx([1 / 2] * 2 + [1 / 3] * 3)
    assert [row["gate_std"] for row in rows] == pytest.approx([0] * 5, abs=1e-7)
    # With identity projections the hub brings half of its own state after layer 2 into each expert.
    hub_state = hub(tokens(2, 5), output_hidden_states=True).hidden_states[2]
    half = 0.5 * hub_state.norm(dim=-1).mean().item()
    assert [row["contribution"] for row in rows[:2]] == pytest.approx([half, half], rel=1e-5)


def test_gate_statistics_of_random_stitches(stitched, tokens):
    stitched.train()  # dropout must be off all the same
    rows = stitched.gate_statistics(tokens(2, 5))
    assert stitched.training
    into_hub = [row for row in rows if row["kind"] == "experts-into-hub"]
    assert sum(row["gate_mean"] for row in into_hub) == pytest.approx(1)
    assert all(row["gate_std"] > 0.01 for row in rows)
    assert stitched.gate_statistics(tokens(2, 5)) == rows


def test_contribution_shows_what_the_gate_mass_hides(stitched, tokens):
    before = stitched.gate_statistics(tokens(2, 5))
    with torch.no_grad():
        stitched.stitches[1].projections[0] *= 3
    after = stitched.gate_statistics(tokens(2, 5))
    changed = [row["stream"] for row, old in zip(after, before, strict=True) if row != old]
    assert changed == ["code"]
    assert after[3]["gate_mean"] == before[3]["gate_mean"]
    assert after[3]["contribution"] == pytest.approx(3 * before[3]["contribution"], rel=1e-5)


def test_gate_statistics_leave_padding_out(stitched, tokens):
    prompt = tokens(1, 5)
    padded = torch.cat([prompt, torch.zeros(1, 4, dtype=torch.long)], dim=1)
    mask = (torch.arange(9) < 5).long()[None]
    for row, expected in zip(
        stitched.gate_statistics(padded, mask), stitched.gate_statistics(prompt), strict=True
    ):
        for number in ("gate_mean", "gate_std", "contribution"):
            assert row[number] == pytest.approx(expected[number], rel=1e-4)


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


def test_other_mismatches_are_refused(tiny_llama):
    hub = tiny_llama(0)
    other_angle = tiny_llama(1)
    other_angle.config.rope_parameters["rope_theta"] = 5e5
    with pytest.raises(ValueError, match=r"expert 'a': rope_parameters is .*500000.* hub's is .*10000"):
        StitchedForCausalLM.from_models(hub, {"a": other_angle}, 2)
    with pytest.raises(ValueError, match=r"expert 'a': dtype is torch.bfloat16 .* hub's is torch.float32"):
        StitchedForCausalLM.from_models(hub, {"a": tiny_llama(1).bfloat16()}, 2)
    with pytest.raises(ValueError, match="expert 'a': model_type is 'mistral' but the hub's is 'llama'"):
        StitchedForCausalLM.from_models(hub, {"a": other_architecture("mistral")}, 2)


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


ARCHITECTURES = {
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": 4}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {}),
    "qwen3-sliding": (
        Qwen3Config,
        Qwen3ForCausalLM,
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2},
    ),
    "olmo2": (Olmo2Config, Olmo2ForCausalLM, {}),
    # Caps low enough to show at this size: leaving them out would change the logits.
    "gemma2": (
        Gemma2Config,
        Gemma2ForCausalLM,
        {"sliding_window": 4, "attn_logit_softcapping": 0.1, "final_logit_softcapping": 0.5},
    ),
    "cohere": (CohereConfig, CohereForCausalLM, {}),
}


def other_architecture(name, seed=0):
    config_class, model_class, options = ARCHITECTURES[name]
    config = config_class(
        vocab_size=97,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        head_dim=4,
        **options,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model_class(config).eval()


@pytest.mark.parametrize("name", ["mistral", "qwen3", "qwen3-sliding", "olmo2", "gemma2"])
@torch.no_grad()
def test_other_architectures_are_stitched_exactly(name, random_stitches, tokens, tmp_path):
    hub, expert = other_architecture(name), other_architecture(name, seed=1)
    input_ids = tokens(2, 10)
    copies = StitchedForCausalLM.from_models(hub, {"a": hub}, 2)
    torch.testing.assert_close(copies(input_ids).logits, hub(input_ids).logits, atol=1e-6, rtol=1e-6)
    model = random_stitches(StitchedForCausalLM.from_models(hub, {"a": expert}, 2))
    whole = model(input_ids, use_cache=False).logits
    first = model(input_ids[:, :6], use_cache=True)
    second = model(input_ids[:, 6:], past_key_values=first.past_key_values)
    torch.testing.assert_close(torch.cat([first.logits, second.logits], 1), whole, atol=1e-5, rtol=0)
    model.save_pretrained(tmp_path)
    assert torch.equal(load_causal_lm(tmp_path)(input_ids, use_cache=False).logits, whole)
    assert torch.equal(
        greedy(model, input_ids, 6),
        model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=6,
            do_sample=False,
            pad_token_id=0,
            cache_implementation="static",
            disable_compile=True,
        ),
    )


def test_architecture_that_does_more_is_refused():
    hub = other_architecture("cohere")  # multiplies its logits by logit_scale
    with pytest.raises(ValueError, match="CohereForCausalLM, whose forward pass does more"):
        StitchedForCausalLM.from_models(hub, {"a": hub}, 2)
