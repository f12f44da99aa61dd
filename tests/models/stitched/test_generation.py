"""The stitched model with a KV cache: generation in every way is what it is without one."""

from __future__ import annotations

import pytest
import torch
from accelerate import infer_auto_device_map

from models import StitchedForCausalLM


@pytest.fixture
def stitched(tiny_llama, random_stitches):
    model = StitchedForCausalLM.from_models(
        tiny_llama(0), {"code": tiny_llama(1), "math": tiny_llama(2)}, num_stitches=2
    )
    return random_stitches(model)


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


CACHES = {
    "dynamic": {},
    "static": {"cache_implementation": "static", "disable_compile": True},
    "none": {"use_cache": False},
}


@pytest.mark.parametrize("cache", CACHES.values(), ids=CACHES)
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


WAYS = {
    "sampling": {"do_sample": True, "temperature": 1.5, "top_k": 0},
    "nucleus": {"do_sample": True, "temperature": 2.0, "top_p": 0.9},
    "beams": {"do_sample": False, "num_beams": 3, "num_return_sequences": 2},
    "sampled-beams": {"do_sample": True, "num_beams": 3, "temperature": 1.5, "top_k": 0},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("cache", [CACHES["dynamic"], CACHES["static"]], ids=["dynamic", "static"])
@torch.no_grad()
def test_cached_generation_equals_the_uncached(stitched, tokens, way, cache):
    input_ids = tokens(2, 5)

    def generate(seed, **more):
        torch.manual_seed(seed)
        mask = torch.ones_like(input_ids)
        return stitched.generate(
            input_ids, attention_mask=mask, max_new_tokens=8, pad_token_id=0, **way, **more
        )

    expected = generate(0, **CACHES["none"])
    assert torch.equal(generate(0, **cache), expected)
    if way["do_sample"]:
        assert not torch.equal(generate(1, **cache), expected)


@torch.no_grad()
def test_generates_in_bf16(stitched, tokens):
    """In bf16 cached and uncached logits differ by rounding: the same tokens where the best is clear."""
    model = stitched.bfloat16()
    input_ids = tokens(2, 5)
    mask = torch.ones_like(input_ids)
    generated = model.generate(
        input_ids,
        attention_mask=mask,
        max_new_tokens=8,
        do_sample=False,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    assert {logits.dtype for logits in generated.logits} <= {torch.bfloat16, torch.float32}
    assert {layer.keys.dtype for layer in generated.past_key_values.layers} == {torch.bfloat16}
    whole = model(generated.sequences, use_cache=False).logits[:, 4:-1].float()
    step = torch.stack(generated.logits, dim=1).float()
    assert (whole - step).abs().max() < 0.02 * whole.abs().max()
    chosen = whole.gather(-1, generated.sequences[:, 5:, None])[..., 0]
    assert (whole.amax(-1) - chosen).max() < 0.04 * whole.abs().max()


@pytest.mark.parametrize("cache", CACHES.values(), ids=CACHES)
@torch.no_grad()
def test_left_padded_batch_generates_what_each_prompt_does_alone(stitched, tokens, cache):
    prompts = [tokens(1, 3, random_seed=1), tokens(1, 6, random_seed=2)]
    padded = torch.zeros(2, 6, dtype=torch.long)
    mask = torch.zeros_like(padded)
    for row, prompt in enumerate(prompts):
        padded[row, 6 - prompt.shape[1] :] = prompt[0]
        mask[row, 6 - prompt.shape[1] :] = 1
    generated = stitched.generate(
        padded, attention_mask=mask, max_new_tokens=8, do_sample=False, pad_token_id=0, **cache
    )
    for row, prompt in enumerate(prompts):
        assert torch.equal(generated[row, 6:], greedy(stitched, prompt, 8)[0, prompt.shape[1] :])


@torch.no_grad()
def test_layers_and_stitches_compile_without_graph_breaks(stitched, tokens):
    input_ids = tokens(2, 9)
    expected = stitched(input_ids, use_cache=False).logits
    torch.compiler.reset()
    compiled = [*stitched.stitches, *(layer for each in stitched.decoders() for layer in each.layers)]
    for module in compiled:
        module.compile(fullgraph=True, backend="aot_eager", dynamic=False)
    torch.testing.assert_close(stitched(input_ids, use_cache=False).logits, expected, atol=1e-6, rtol=0)


def test_whole_training_step_compiles_without_graph_breaks(tiny_llama, random_stitches, tokens):
    """One graph of all streams and stitches, and the gradients that the uncompiled step has."""
    hub, expert = (tiny_llama(seed, num_layers=2) for seed in range(2))
    stitched = random_stitches(StitchedForCausalLM.from_models(hub, {"a": expert}, 2, gate_dropout=0.0))
    input_ids = tokens(2, 9)
    stitched.train()
    stitched(input_ids, labels=input_ids).loss.backward()
    expected = [weight.grad.clone() for weight in stitched.stitch_parameters()]
    stitched.zero_grad()
    torch.compiler.reset()
    compiled = torch.compile(stitched, fullgraph=True, backend="aot_eager")
    compiled(input_ids, labels=input_ids).loss.backward()
    for weight, gradient in zip(stitched.stitch_parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient, atol=1e-6, rtol=1e-5)


def test_layers_and_stitches_are_not_split_between_devices(stitched):
    assert set(stitched._no_split_modules) == {"LlamaDecoderLayer", "Stitch"}
    units = [module for module in stitched.modules() if type(module).__name__ in stitched._no_split_modules]
    assert len(units) == 2 + 3 * 4
    device_map = infer_auto_device_map(
        stitched, {0: "60KB", "cpu": "10GB"}, no_split_module_classes=list(stitched._no_split_modules)
    )
    assert set(device_map.values()) == {0, "cpu"}
    names = {id(module): name for name, module in stitched.named_modules()}
    for unit in units:
        assert not any(placed.startswith(names[id(unit)] + ".") for placed in device_map)
