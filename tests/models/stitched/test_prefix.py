"""Training steps that start from cached states which no trainable weight reaches."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file

from models import StitchedForCausalLM
from models.stitched.prefix_cache import PrefixCache, compute_prefix, frozen_layers


def stitch(tiny_llama, random_stitches, num_stitches=2, layout="alternating"):
    experts = {"code": tiny_llama(1), "math": tiny_llama(2)}
    return random_stitches(
        StitchedForCausalLM.from_models(tiny_llama(0), experts, num_stitches, layout, gate_dropout=0.0)
    )


def loss_and_gradients(model, input_ids, **more):
    model.zero_grad()
    loss = model(input_ids, labels=input_ids, use_cache=False, **more).loss
    loss.backward()
    return [loss.detach(), *(weight.grad for weight in model.stitch_parameters())]


@pytest.mark.parametrize(
    ("num_stitches", "layout", "hub", "expert"),
    [
        (1, "alternating", [4], 4),
        (2, "alternating", [2, 4], 2),
        (3, "alternating", [1], 1),
        (4, "alternating", [1, 2], 1),
        (4, "experts-into-hub", [1], 1),
    ],
)
def test_where_the_prefix_ends_and_what_it_gives(
    tiny_llama, random_stitches, tokens, tmp_path, num_stitches, layout, hub, expert
):
    model = stitch(tiny_llama, random_stitches, num_stitches, layout)
    assert frozen_layers(model) == [hub, [expert], [expert]]
    input_ids = tokens(2, 8)
    prefix = PrefixCache(model, tmp_path)(input_ids)
    model.train()
    runs = []
    for layer in (layer for decoder in model.decoders() for layer in decoder.layers):
        layer.register_forward_hook(lambda *_: runs.append(1))
    for given, expected in zip(
        loss_and_gradients(model, input_ids, prefix=prefix), loss_and_gradients(model, input_ids), strict=True
    ):
        assert torch.equal(given, expected)
    assert len(runs) == (4 - hub[-1]) + 2 * (4 - expert) + 3 * 4


def test_prefix_comes_from_disk_bit_for_bit(tiny_llama, random_stitches, tokens, tmp_path, monkeypatch):
    model, input_ids = stitch(tiny_llama, random_stitches), tokens(2, 8)
    mask = torch.ones_like(input_ids)
    mask[0, :3] = 0
    computed = compute_prefix(model, input_ids, mask)
    PrefixCache(model, tmp_path)(input_ids, mask)
    (file,) = tmp_path.iterdir()
    assert set(load_file(file)) == {"0.2", "0.4", "1.2", "2.2"}
    monkeypatch.setattr("models.stitched.prefix_cache.compute_prefix", None)
    read = PrefixCache(copy.deepcopy(model), tmp_path)(input_ids, mask)
    for stream, expected in zip(read.known, computed.known, strict=True):
        assert stream.keys() == expected.keys()
        assert all(torch.equal(stream[layer], expected[layer]) for layer in stream)
    whole = model(input_ids, attention_mask=mask, use_cache=False).logits
    assert torch.equal(model(input_ids, attention_mask=mask, prefix=read).logits, whole)


def test_what_is_another_prefix_and_what_is_not(tiny_llama, random_stitches, tokens, tmp_path):
    model, input_ids = stitch(tiny_llama, random_stitches, num_stitches=4), tokens(2, 8)

    def num_files(changed, *arguments):
        PrefixCache(changed, tmp_path)(*arguments)
        return len(list(tmp_path.iterdir()))

    assert num_files(model, input_ids) == 1
    random_stitches(model, random_seed=5)
    assert num_files(model, input_ids) == 1  # training the stitches changes nothing
    with torch.no_grad():
        model.hub.lm_head.weight.add_(1)
        model.experts[0].layers[2].mlp.up_proj.weight.add_(1)
    assert num_files(model, input_ids) == 1  # nor do frozen weights behind the prefix
    assert num_files(model, input_ids, torch.ones_like(input_ids)) == 2
    assert num_files(model, tokens(2, 8, random_seed=1)) == 3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert num_files(model, input_ids) == 4
    with torch.no_grad():
        model.experts[0].layers[0].mlp.up_proj.weight[0, 0] += 1e-3
    assert num_files(model, input_ids) == 5
    assert num_files(stitch(tiny_llama, random_stitches, num_stitches=2), input_ids) == 6


def test_prefix_under_autocast(tiny_llama, random_stitches, tokens, tmp_path):
    model, input_ids = stitch(tiny_llama, random_stitches), tokens(2, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prefix = PrefixCache(model, tmp_path)(input_ids)
        given = loss_and_gradients(model, input_ids, prefix=prefix)
        for gradient, expected in zip(given, loss_and_gradients(model, input_ids), strict=True):
            torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=0)


def test_unusable_prefixes_are_refused(tiny_llama, random_stitches, tokens, tmp_path):
    model, input_ids = stitch(tiny_llama, random_stitches), tokens(2, 8)
    cache = PrefixCache(model, tmp_path)
    with pytest.raises(ValueError, match="prefix is given with a KV cache"):
        model(input_ids, prefix=cache(input_ids), use_cache=True)
    model.drop_expert("code")
    with pytest.raises(ValueError, match="a new PrefixCache"):
        cache(input_ids)
    model.config.base_config.attention_dropout = 0.1
    with pytest.raises(ValueError, match=r"attention_dropout is 0\.1; allowed: 0"):
        PrefixCache(model, tmp_path)


def test_frozen_streams_hold_no_gradient_and_no_optimizer_state(
    tiny_llama, random_stitches, tokens, tmp_path
):
    model, input_ids = stitch(tiny_llama, random_stitches), tokens(2, 8)
    cache = PrefixCache(model, tmp_path)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)  # given all weights, frozen ones too
    frozen = [*model.hub.parameters(), *model.experts.parameters()]
    before = [weight.detach().clone() for weight in frozen]
    for prefix in (None, cache(input_ids)):
        model(input_ids, labels=input_ids, prefix=prefix, use_cache=False).loss.backward()
        optimizer.step()
    assert all(weight.grad is None and weight not in optimizer.state for weight in frozen)
    assert all(torch.equal(weight, old) for weight, old in zip(frozen, before, strict=True))
    assert set(optimizer.state) == set(model.stitch_parameters())
