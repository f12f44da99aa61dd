"""The output ensemble against Bayes' rule, token by token."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import DynamicCache, StaticCache

from models import EnsembleForCausalLM


def bayes_by_hand(members, text):
    """Mixture probabilities after each token of `text`, from each member's run on each prefix alone."""
    evidence = [0.0] * len(members)
    rows = []
    for end in range(1, len(text) + 1):
        prefix = torch.tensor([text[:end]])
        own = [torch.softmax(member(prefix).logits[0, -1].double(), dim=-1) for member in members]
        top = max(evidence)
        weights = [math.exp(value - top) for value in evidence]
        posterior = torch.tensor(weights, dtype=torch.float64) / sum(weights)
        rows.append(posterior @ torch.stack(own))
        if end < len(text):
            for index, probabilities in enumerate(own):
                evidence[index] += math.log(probabilities[text[end]])
    return torch.stack(rows)


@torch.no_grad()
def test_probabilities_are_the_bayes_mixture(tiny_llama, tokens):
    members = [tiny_llama(number, 2) for number in range(3)]
    model = EnsembleForCausalLM.from_models(members[0], {"a": members[1], "b": members[2]})
    input_ids = tokens(2, 12)
    logits = model(input_ids).logits
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(2, 12), atol=1e-5, rtol=0)
    for row in range(2):
        expected = bayes_by_hand(members, input_ids[row].tolist())
        torch.testing.assert_close(logits[row].double().exp(), expected, atol=1e-6, rtol=0)
        uniform = sum(torch.softmax(m(input_ids[row : row + 1]).logits[0, -1], -1) for m in members) / 3
        assert (uniform - expected[-1]).abs().max() > 1e-3  # the evidence matters to what is compared


@torch.no_grad()
def test_ensemble_becomes_the_member_that_the_text_is_from(tiny_llama):
    seed, expert = tiny_llama(0), tiny_llama(1)
    torch.manual_seed(0)
    text = expert.generate(
        torch.tensor([[5]]),
        attention_mask=torch.ones(1, 1),
        max_new_tokens=60,
        do_sample=True,
        pad_token_id=0,
    )
    model = EnsembleForCausalLM.from_models(seed, {"a": expert})
    last = model(text).logits[0, -1]
    torch.testing.assert_close(last, torch.log_softmax(expert(text).logits[0, -1], -1), atol=0.05, rtol=0)
    assert (last - torch.log_softmax(seed(text).logits[0, -1], -1)).abs().max() > 0.5


@torch.no_grad()
def test_cache_can_be_cropped(tiny_llama, tokens):
    model = EnsembleForCausalLM.from_models(tiny_llama(0), {"a": tiny_llama(1)})
    input_ids = tokens(1, 9)
    cache = model(input_ids, use_cache=True).past_key_values
    assert len(cache) == 2 * 4 + 1
    cache.crop(-4)
    after = model(input_ids[:, 5:], past_key_values=cache).logits
    torch.testing.assert_close(after, model(input_ids).logits[:, 5:], atol=1e-5, rtol=0)


@torch.no_grad()
def test_cache_of_a_sliding_window_stays_small(tiny_of, tokens):
    seed = tiny_of("mistral", 0)  # a window of 4 tokens
    cache = EnsembleForCausalLM.from_models(seed, {"a": seed})(tokens(1, 9), use_cache=True).past_key_values
    assert [layer.keys.shape[-2] for layer in cache.layers] == [3] * 6 + [9]


@torch.no_grad()
def test_caches_and_masks_that_cannot_serve_are_refused(tiny_llama, tokens):
    seed = tiny_llama(0)
    model = EnsembleForCausalLM.from_models(seed, {"a": tiny_llama(1)})
    static = StaticCache(config=model.config, max_cache_len=16)
    with pytest.raises(ValueError, match="past_key_values is a StaticCache; allowed: a DynamicCache"):
        model(tokens(1, 4), past_key_values=static)
    foreign = DynamicCache(config=seed.config)
    seed(tokens(1, 4), past_key_values=foreign)
    with pytest.raises(ValueError, match="holds 4 tokens that EnsembleForCausalLM has not read"):
        model(tokens(1, 1), past_key_values=foreign)
    with pytest.raises(ValueError, match=r"attention_mask is \(1, 3\); allowed: .* = \(1, 4\)"):
        model(tokens(1, 4), attention_mask=torch.ones(1, 3))
    with pytest.raises(ValueError, match="output_hidden_states is given"):
        model(tokens(1, 4), output_hidden_states=True)
