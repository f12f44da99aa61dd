"""Streams batched in one call a layer give what streams one after the other give, from the same memory."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models import Prefix

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "olmo2", "gemma", "gemma2", "gemma3_text")


def in_parts(model, input_ids, mask, sizes=(4, 1, 1, 3)):
    cache, logits, end = None, [], 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    for part in input_ids.split(sizes, dim=1):
        begin, end = end, end + part.shape[1]
        output = model(
            part,
            attention_mask=mask[:, :end],
            position_ids=positions[:, begin:end],
            past_key_values=cache,
            use_cache=True,
        )
        cache = output.past_key_values
        logits.append(output.logits)
    return torch.cat(logits, dim=1)


@pytest.mark.parametrize("num_stitches", [1, 2, 3])
@pytest.mark.parametrize("layout", ["alternating", "experts-into-hub"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_logits_are_those_of_sequential_streams(stitched_of, padded, architecture, layout, num_stitches):
    model, (input_ids, mask) = stitched_of(architecture, num_stitches, layout), padded
    real = mask.bool()
    whole = model(input_ids, attention_mask=mask, use_cache=False).logits[real]
    parts = in_parts(model, input_ids, mask)[real]
    model.batch_streams()
    batched = model(input_ids, attention_mask=mask, use_cache=False).logits[real]
    torch.testing.assert_close(batched, whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(in_parts(model, input_ids, mask)[real], parts, atol=1e-5, rtol=0)
    model.batch_streams(False)
    assert torch.equal(model(input_ids, attention_mask=mask, use_cache=False).logits[real], whole)


@pytest.mark.parametrize("num_experts", [1, 3, 4])
@pytest.mark.parametrize(
    "length", [1, 2, 4, 8]
)  # as many tokens as there are streams, or heads of a kind, too
@pytest.mark.parametrize("architecture", ["qwen3", "gemma3_text"])
@torch.no_grad()
def test_any_number_of_streams_and_tokens(stitched_of, tokens, architecture, length, num_experts):
    model, input_ids = stitched_of(architecture, num_experts=num_experts), tokens(2, length)
    expected = model(input_ids, use_cache=False).logits
    model.batch_streams()
    torch.testing.assert_close(model(input_ids, use_cache=False).logits, expected, atol=1e-5, rtol=0)


class Products(TorchDispatchMode):
    """Counts matrix products."""

    number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += func.overloadpacket.__name__ in ("mm", "addmm", "bmm", "baddbmm")
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_a_layer_has_as_many_products_as_one_stream_has(stitched_of, tokens):
    model, input_ids = stitched_of(num_experts=3), tokens(2, 5)
    counts = []
    for on in (False, True):
        model.batch_streams(on)
        with Products() as products:
            model(input_ids, use_cache=False)
        counts.append(products.number)
    in_layers, head = 3 * 7, 1
    of_stitches = [(3 + 3) + (4 + 3), 2 + 2]  # gates and projections, hub into experts and back
    assert counts == [4 * in_layers + of_stitches[0] + head, in_layers + of_stitches[1] + head]


WAYS = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "temperature": 1.5, "top_k": 0},
    "nucleus": {"do_sample": True, "temperature": 2.0, "top_p": 0.9},
    "beams": {"do_sample": False, "num_beams": 3, "num_return_sequences": 2},
    "sampled-beams": {"do_sample": True, "num_beams": 3, "temperature": 1.5, "top_k": 0},
}
CACHES = {
    "dynamic": {},
    "static": {"cache_implementation": "static", "disable_compile": True},
    "none": {"use_cache": False},
}


def generate(model, padded, **how):
    torch.manual_seed(0)
    input_ids, mask = padded
    return model.generate(input_ids, attention_mask=mask, max_new_tokens=8, pad_token_id=0, **how)


@pytest.mark.parametrize("cache", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("architecture", ["llama", "gemma3_text"])
@torch.no_grad()
def test_generates_the_same_tokens(stitched_of, padded, architecture, way, cache):
    model = stitched_of(architecture)
    expected = generate(model, padded, **way)
    model.batch_streams()
    assert torch.equal(generate(model, padded, **way, **cache), expected)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # renamed in newer transformers
def test_stitches_train_before_and_after_but_not_while_batched(stitched_of, tokens):
    model, input_ids = stitched_of(), tokens(2, 8)
    model.batch_streams()
    model(input_ids, labels=input_ids).loss.backward()  # in evaluation mode, without dropout
    gradients = [weight.grad.clone() for weight in model.stitch_parameters()]
    model.zero_grad()
    for prepare in (lambda: None, model.gradient_checkpointing_enable):
        prepare()
        model.train()
        with pytest.raises(
            ValueError, match=r"training mode while streams are batched; allowed: batch_streams\(F"
        ):
            model(input_ids)
    model.gradient_checkpointing_disable()
    model.batch_streams(False)
    model.eval()
    model(input_ids, labels=input_ids).loss.backward()
    for weight, gradient in zip(model.stitch_parameters(), gradients, strict=True):
        torch.testing.assert_close(weight.grad, gradient, atol=1e-6, rtol=1e-4)
    layers = [layer for decoder in model.decoders() for layer in decoder.layers]
    assert all(weight.grad is None for layer in layers for weight in layer.parameters())
    optimizer = torch.optim.AdamW(model.stitch_parameters(), lr=1e-2)
    before = model(input_ids, labels=input_ids).loss.item()
    optimizer.step()
    model.batch_streams()
    assert model(input_ids, labels=input_ids).loss.item() < before - 1e-3


@torch.no_grad()
def test_compiles_without_graph_breaks(stitched_of, tokens):
    model, input_ids = stitched_of(), tokens(2, 9)
    model.batch_streams()
    expected = model(input_ids, use_cache=False).logits
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(input_ids, use_cache=False).logits, expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_insight_is_the_same(stitched_of, padded):
    model = stitched_of()
    expected = model.gate_statistics(*padded)
    model.batch_streams()
    assert model.gate_statistics(*padded) == expected


@pytest.mark.parametrize("is_batched", [True, False])
@torch.no_grad()
def test_cache_of_the_other_mode_is_refused(stitched_of, tokens, is_batched):
    model = stitched_of()
    model.batch_streams(not is_batched)
    cache = model(tokens(2, 4)).past_key_values
    model.batch_streams(is_batched)
    how = "without" if is_batched else "with"
    with pytest.raises(
        ValueError, match=f"past_key_values was filled {how} batched streams; allowed: a cache of"
    ):
        model(tokens(2, 1), past_key_values=cache)


@torch.no_grad()
def test_what_batched_streams_do_not_take(stitched_of, tokens):
    model, input_ids = stitched_of(), tokens(1, 4)
    model.batch_streams()
    with pytest.raises(ValueError, match="prefix is given while streams are batched"):
        model(input_ids, prefix=Prefix([{}, {}, {}]))
    model.experts[0].to(torch.float64)
    with pytest.raises(ValueError, match=r"weights were moved or replaced after batch_streams\(\)"):
        model(input_ids)
    model.experts[0].to(torch.float32)
    model.batch_streams()
    model(input_ids)
