"""The stitched forward pass against a slow reference written from the paper's equations."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from models import StitchedForCausalLM, load_causal_lm, stitch_places


def reference_logits(hub, experts, weights, num_stitches, input_ids, layout="alternating"):
    """Logits of the stitched model, one channel at a time.

    `weights[j]` is (gate, projections) of stitch j: gate[i][c] is the row of W_gate that makes channel c of
    stream i, projections[i] is W_{i+1}. The streams' own layers are those of the models before stitching.
    """
    streams = [hub, *experts]
    config = hub.config
    length = input_ids.shape[1]
    future = torch.full((length, length), -math.inf).triu(1)[None, None]
    positions = torch.arange(length)[None]
    states = [stream.model.embed_tokens(input_ids) for stream in streams]
    num_layers = len(hub.model.layers)
    num_channels = states[0].shape[-1]
    num_done = 0
    for layer in range(num_layers):
        layer_type = getattr(config, "layer_types", [None] * num_layers)[layer]
        window = getattr(config, "sliding_window", None) if layer_type != "full_attention" else None
        mask = future
        if window is not None:  # a token sees itself and window - 1 before it
            mask = future + torch.full((length, length), -math.inf).tril(-window)
        by_type = (layer_type,) if config.model_type == "gemma3_text" else ()
        for i, stream in enumerate(streams):
            rotary = stream.model.rotary_emb(states[i], positions, *by_type)
            states[i] = stream.model.layers[layer](
                states[i], attention_mask=mask, position_embeddings=rotary, position_ids=positions
            )
        is_last_stitch = num_done == num_stitches - 1
        due = num_layers if is_last_stitch else (num_done + 1) * (num_layers // num_stitches)
        if num_done == num_stitches or layer + 1 != due:
            continue
        gate, projections = weights[num_done]
        to_hub = layout == "experts-into-hub" or (num_stitches - 1 - num_done) % 2 == 0
        num_done += 1
        h0 = states[0]
        new = [torch.zeros_like(state) for state in states]
        for c in range(num_channels):
            scores = [(h0 * gate[i][c]).sum(-1) for i in range(len(streams))]
            if to_hub:
                total = sum(torch.exp(score) for score in scores)
                new[0][..., c] = torch.exp(scores[0]) / total * h0[..., c]
                for i in range(1, len(streams)):
                    projected = (states[i] * projections[i - 1][c]).sum(-1)
                    new[0][..., c] += torch.exp(scores[i]) / total * projected
                    new[i][..., c] = projected
            else:
                new[0][..., c] = h0[..., c]
                for i in range(1, len(streams)):
                    open_by = 1 / (1 + torch.exp(-scores[i]))
                    incoming = (h0 * projections[i - 1][c]).sum(-1)
                    new[i][..., c] = (1 - open_by) * states[i][..., c] + open_by * incoming
        states = new
    assert num_done == num_stitches
    logits = hub.lm_head(hub.model.norm(states[0]))
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)


@pytest.mark.parametrize(
    ("num_layers", "num_stitches", "num_experts"),
    [(4, 1, 1), (4, 2, 2), (4, 4, 3), (5, 2, 1), (5, 3, 2), (6, 4, 2), (2, 1, 3)],
)
@pytest.mark.parametrize("layout", ["alternating", "experts-into-hub"])
@torch.no_grad()
def test_forward_equals_the_equations(
    tiny_llama, random_stitches, tokens, num_layers, num_stitches, num_experts, layout
):
    hub = tiny_llama(0, num_layers)
    experts = {f"expert {seed}": tiny_llama(seed, num_layers) for seed in range(1, num_experts + 1)}
    model = StitchedForCausalLM.from_models(hub, experts, num_stitches, layout)
    random_stitches(model)
    for reference in (hub, *experts.values()):
        reference.set_attn_implementation("eager")
    input_ids = tokens(2, 7)
    weights = [(stitch.gate, stitch.projections) for stitch in model.stitches]
    expected = reference_logits(hub, list(experts.values()), weights, num_stitches, input_ids, layout)
    at_the_hub = hub(input_ids).logits
    assert (expected - at_the_hub).abs().max() > 0.05  # the stitches matter to what is compared
    torch.testing.assert_close(model(input_ids).logits, expected, atol=1e-6, rtol=0)


ARCHITECTURES = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "qwen3": {},
    "qwen3-sliding": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2},
    "olmo2": {},
    "gemma": {},
    # Caps low enough to show at this size: leaving them out would change the logits.
    "gemma2": {"sliding_window": 4, "attn_logit_softcapping": 0.1, "final_logit_softcapping": 0.5},
    # Its two layer types have rotary embeddings of different base.
    "gemma3_text": {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"] * 2},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_other_architectures_equal_the_equations(name, random_stitches, tokens, tmp_path):
    hub, expert = (tiny_of_four_layers(name, seed) for seed in range(2))
    input_ids = tokens(2, 10)
    model = random_stitches(StitchedForCausalLM.from_models(hub, {"a": expert}, 2))
    for reference in (hub, expert):
        reference.set_attn_implementation("eager")
    weights = [(stitch.gate, stitch.projections) for stitch in model.stitches]
    expected = reference_logits(hub, [expert], weights, 2, input_ids)
    whole = model(input_ids, use_cache=False).logits
    torch.testing.assert_close(whole, expected, atol=2e-6, rtol=0)
    first = model(input_ids[:, :6], use_cache=True)
    second = model(input_ids[:, 6:], past_key_values=first.past_key_values)
    torch.testing.assert_close(torch.cat([first.logits, second.logits], 1), whole, atol=1e-5, rtol=0)
    model.save_pretrained(tmp_path)
    assert torch.equal(load_causal_lm(tmp_path)(input_ids, use_cache=False).logits, whole)
    greedy = input_ids
    for _ in range(6):
        best = model(greedy, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
        greedy = torch.cat([greedy, best], dim=1)
    mask = torch.ones_like(input_ids)
    for cache in ({}, {"cache_implementation": "static", "disable_compile": True}):
        generated = model.generate(
            input_ids, attention_mask=mask, max_new_tokens=6, do_sample=False, pad_token_id=0, **cache
        )
        assert torch.equal(generated, greedy)


def test_architecture_that_does_more_is_refused():
    hub = tiny_of_four_layers("cohere")  # multiplies its logits by logit_scale
    with pytest.raises(ValueError, match="CohereForCausalLM, whose forward pass does more"):
        StitchedForCausalLM.from_models(hub, {"a": hub}, 2)


def tiny_of_four_layers(name, seed=0):
    config = AutoConfig.for_model(
        name.removesuffix("-sliding"),
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
        **ARCHITECTURES.get(name, {}),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("num_stitches", [1, 2, 4])
@torch.no_grad()
def test_copies_of_the_hub_give_the_hubs_logits(tiny_llama, tokens, num_stitches):
    hub = tiny_llama(0)
    model = StitchedForCausalLM.from_models(hub, {"a": hub, "b": hub}, num_stitches)
    input_ids = tokens(2, 9)
    torch.testing.assert_close(model(input_ids).logits, hub(input_ids).logits, atol=1e-6, rtol=1e-6)


def test_order_of_twenty_layers_and_four_stitches():
    assert stitch_places(20, 4) == [
        (5, "hub-into-experts"),
        (10, "experts-into-hub"),
        (15, "hub-into-experts"),
        (20, "experts-into-hub"),
    ]


def test_all_stitches_may_go_into_the_hub(tiny_llama, tokens):
    assert stitch_places(20, 4, "experts-into-hub") == [(5 * k, "experts-into-hub") for k in (1, 2, 3, 4)]
    hub = tiny_llama(0)
    model = StitchedForCausalLM.from_models(hub, {"a": hub}, 4, "experts-into-hub")
    torch.testing.assert_close(model(tokens(1, 5)).logits, hub(tokens(1, 5)).logits, atol=1e-6, rtol=1e-6)
    with pytest.raises(ValueError, match="layout is 'sideways'; allowed: alternating, experts-into-hub"):
        StitchedForCausalLM.from_models(hub, {"a": hub}, 2, "sideways")


def test_last_stitch_follows_the_last_layer_where_layers_do_not_divide():
    assert stitch_places(7, 3) == [(2, "experts-into-hub"), (4, "hub-into-experts"), (7, "experts-into-hub")]
    assert stitch_places(5, 2) == [(2, "hub-into-experts"), (5, "experts-into-hub")]
    assert stitch_places(3, 3)[-1] == (3, "experts-into-hub")


@pytest.mark.parametrize("num_stitches", [0, 5])
def test_more_stitches_than_layers_or_none_are_refused(tiny_llama, num_stitches):
    hub = tiny_llama(0, num_layers=4)
    with pytest.raises(ValueError, match=f"num_stitches is {num_stitches}; allowed: 1 to .* 4"):
        StitchedForCausalLM.from_models(hub, {"a": hub}, num_stitches)


@torch.no_grad()
def test_experts_final_norm_and_head_do_not_matter_but_their_embeddings_do(
    tiny_llama, random_stitches, tokens
):
    hub, expert = tiny_llama(0), tiny_llama(1)
    input_ids = tokens(1, 6)

    def logits():
        model = StitchedForCausalLM.from_models(hub, {"a": expert}, 2)
        stored = {name for name, _ in model.experts[0].named_parameters() if "layers" not in name}
        assert stored == {"embed_tokens.weight"}
        return random_stitches(model)(input_ids).logits

    before = logits()
    expert.lm_head.weight.zero_()
    expert.model.norm.weight.zero_()
    assert torch.equal(logits(), before)
    expert.model.embed_tokens.weight.mul_(2)
    assert not torch.allclose(logits(), before, atol=1e-3)
