"""The uniform soup, by hand."""

from __future__ import annotations

import pytest
import torch

from models import uniform_soup


def test_soup_of_two_is_their_mean(tiny_llama):
    first, second = tiny_llama(0), tiny_llama(1)
    with torch.no_grad():
        first.model.norm.weight.fill_(1.0)
        second.model.norm.weight.fill_(4.0)
    soup = uniform_soup([first, second])
    assert soup.model.norm.weight.tolist() == [2.5] * 16
    for (name, mixed), a, b in zip(
        soup.named_parameters(), first.parameters(), second.parameters(), strict=True
    ):
        assert torch.equal(mixed, (a + b) / 2), name
    assert first.model.norm.weight[0] == 1  # the models given stay as they were


def test_soup_of_copies_is_the_model(tiny_llama, tokens):
    model = tiny_llama(0, tie_embeddings=True)
    soup = uniform_soup([model, model, model, model])
    assert torch.equal(soup(tokens(1, 6)).logits, model(tokens(1, 6)).logits)
    assert soup.lm_head.weight is soup.model.embed_tokens.weight


def test_sums_are_taken_in_fp32(tiny_llama):
    """In bf16, 256 + 1 rounds back to 256, so a bf16 sum of these three would be 256, not 258."""
    soup_parts = [tiny_llama(0).bfloat16() for _ in range(3)]
    with torch.no_grad():
        for part, value in zip(soup_parts, (256.0, 1.0, 1.0), strict=True):
            part.model.norm.weight.fill_(value)
    soup = uniform_soup(soup_parts)
    assert soup.model.norm.weight.dtype == torch.bfloat16
    assert soup.model.norm.weight[0] == torch.tensor(258 / 3).bfloat16()


def test_other_shapes_and_names_are_refused_by_tensor(tiny_llama):
    model = tiny_llama(0)
    wider = tiny_llama(1)
    wider.model.layers[2].mlp.up_proj = torch.nn.Linear(16, 7, bias=False)
    with pytest.raises(
        ValueError,
        match=r"'model.layers.2.mlp.up_proj.weight' is \(48, 16\) in model 0 and \(7, 16\) in model 2",
    ):
        uniform_soup([model, tiny_llama(2), wider])
    with pytest.raises(
        ValueError, match=r"'model.layers.3.*' is \(16, 16\) in model 0 and missing in model 1"
    ):
        uniform_soup([model, tiny_llama(1, num_layers=3)])
    with pytest.raises(ValueError, match=r"'lm_head.weight' is missing in model 0 and \(97, 16\) in model 1"):
        uniform_soup([tiny_llama(0, tie_embeddings=True), model])
    with pytest.raises(ValueError, match="models is empty"):
        uniform_soup([])
