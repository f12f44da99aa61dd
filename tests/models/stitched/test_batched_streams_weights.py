"""The weights of batched streams: in memory once, saved, copied, dropped and added as those of sequential streams."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch

from models import StitchedForCausalLM, load_causal_lm


def greedy(model, padded):
    input_ids, mask = padded
    return model.generate(input_ids, attention_mask=mask, max_new_tokens=8, pad_token_id=0, do_sample=False)


def layer_weights(model):
    return [weight for decoder in model.decoders() for weight in decoder.layers.parameters()]


def bytes_held(model):
    storages = {
        weight.untyped_storage().data_ptr(): weight.untyped_storage() for weight in model.parameters()
    }
    return sum(storage.nbytes() for storage in storages.values())


@torch.no_grad()
def test_weights_are_in_memory_once(stitched_of, tokens):
    model, input_ids = stitched_of("qwen3"), tokens(2, 5)
    before = bytes_held(model)
    names = {name: id(weight) for name, weight in model.named_parameters()}
    model.batch_streams()
    assert bytes_held(model) == before
    assert {name: id(weight) for name, weight in model.named_parameters()} == names
    stacked = {
        weight.untyped_storage().data_ptr() for layer in model.batched.layers for weight in layer.parameters()
    }
    assert {weight.untyped_storage().data_ptr() for weight in layer_weights(model)} == stacked
    logits = model(input_ids).logits
    model.experts[1].layers[2].mlp.up_proj.weight.mul_(2)
    model.experts[0].layers[1].self_attn.k_norm.weight.mul_(2)
    changed = model(input_ids).logits
    assert (changed - logits).abs().max() > 1e-3
    model.batch_streams(False)
    torch.testing.assert_close(model(input_ids).logits, changed, atol=1e-5, rtol=0)
    assert all(weight.untyped_storage().nbytes() == weight.nbytes for weight in layer_weights(model))
    assert bytes_held(model) == before


@torch.no_grad()
def test_batched_model_is_saved_as_any_other(stitched_of, tokens, tmp_path):
    model, input_ids = stitched_of(), tokens(2, 6)
    expected = model(input_ids).logits
    model.batch_streams()
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert model.batched is not None
    files = list(tmp_path.glob("*.safetensors"))
    assert len(files) > 3
    assert max(file.stat().st_size for file in files) < 30_000
    loaded = load_causal_lm(tmp_path)
    assert loaded.batched is None
    assert torch.equal(loaded(input_ids).logits, expected)


@torch.no_grad()
def test_batched_model_is_saved_without_its_streams(tiny_llama, tokens, tmp_path):
    streams = {}
    for seed, name in enumerate(("hub", "code", "math")):
        tiny_llama(seed).save_pretrained(tmp_path / name)
        streams[name] = load_causal_lm(tmp_path / name)
    model = StitchedForCausalLM.from_models(streams.pop("hub"), streams, 2)
    model.batch_streams()
    model.save_pretrained(tmp_path / "stitched", bundle=False)
    loaded, input_ids = load_causal_lm(tmp_path / "stitched"), tokens(2, 6)
    torch.testing.assert_close(loaded(input_ids).logits, model(input_ids).logits, atol=1e-5, rtol=0)


@torch.no_grad()
def test_experts_are_dropped_and_added_as_in_sequential_streams(stitched_of, tiny_of, padded):
    model, new = stitched_of(num_experts=3), tiny_of("llama", 9)
    model.batch_streams()
    sequential, held = copy.deepcopy(model), bytes_held(model)
    one_expert = sum(weight.nbytes for weight in model.experts[0].parameters())
    for each in (model, sequential):
        each.drop_expert("e1")
        assert (each.batched is not None) == (each is model)
        each.add_expert("new", new, gate_bias=-0.5)
        for stitch in each.stitches:
            stitch.newest.gate.fill_(0.1)
            stitch.newest.projections.fill_(0.1)
    assert len(model.batched.decoders) == 4
    input_ids, mask = padded
    for apart in (True, False):  # the newest expert's stitch weights
        logits = [each(input_ids, attention_mask=mask).logits[mask.bool()] for each in (model, sequential)]
        torch.testing.assert_close(*logits, atol=1e-5, rtol=0)
        assert torch.equal(greedy(model, padded), greedy(sequential, padded))
        if apart:
            for each in (model, sequential):
                each.train_all_stitches()
    gone = weakref.ref(model.experts[0].layers[0].mlp.up_proj.weight)
    model.drop_expert("e0")
    gc.collect()
    assert gone() is None
    assert bytes_held(model) < held - 0.99 * one_expert


@torch.no_grad()
def test_dtype_changes_and_copies(stitched_of, padded):
    model, (input_ids, mask) = stitched_of("qwen2"), padded
    sequential = copy.deepcopy(model).bfloat16()
    model.batch_streams()
    copied = copy.deepcopy(model)
    assert copied.batched is None
    real = mask.bool()
    torch.testing.assert_close(
        copied(input_ids, attention_mask=mask).logits[real],
        model(input_ids, attention_mask=mask).logits[real],
        atol=1e-5,
        rtol=0,
    )
    held = bytes_held(model)
    model.bfloat16()
    assert model.batched is not None
    assert bytes_held(model) == held // 2
    logits = [each(input_ids, attention_mask=mask).logits[real].float() for each in (model, sequential)]
    assert (logits[0] - logits[1]).abs().max() < 0.04 * logits[1].abs().max()
    new = greedy(model, padded)[:, 9:]
    assert new.shape == (2, 8)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            "mixtral",
            "mlp.gate is a MixtralTopKRouter that holds weight; allowed for batched streams: linear layers",
        ),
        ("phi3", "of a Phi3ForCausalLM, whose layers do not keep streams that lie side by side apart"),
    ],
)
def test_layers_that_cannot_be_batched_are_refused(stitched_of, tokens, architecture, message):
    model = stitched_of(architecture)
    held, expected = bytes_held(model), model(tokens(1, 4)).logits
    with pytest.raises(ValueError, match=message):
        model.batch_streams()
    assert model.batched is None
    assert bytes_held(model) == held
    assert all(weight.untyped_storage().nbytes() == weight.nbytes for weight in layer_weights(model))
    assert torch.equal(model(tokens(1, 4)).logits, expected)


def test_several_devices_are_refused(stitched_of):
    model = stitched_of()
    model.experts[1].to("meta")
    with pytest.raises(
        ValueError, match="the streams are on cpu, meta; allowed for batched streams: all on one"
    ):
        model.batch_streams()
    assert model.batched is None
