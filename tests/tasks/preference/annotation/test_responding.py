"""Responses are greedy decoding: what a plain loop without padding and cache gives for each prompt alone."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch

import models
from tasks.preference.annotation.responding import held_by_category, respond
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME

CONTEXT = 32
PROMPTS = ["a b c", "the hub and the expert", "one", "", "x " * 40, "two three four five six", "Fünf"]


@pytest.fixture
def tokenizer() -> Any:
    return make_tokenizer(TokenizerSettings(vocab_size=320), ["the hub and the expert one two three " * 10])


def dense(random_seed: int, vocabulary: int) -> Any:
    config = models.seed_config(vocabulary, 16, 3, 4, max_length=CONTEXT, ffn_multiple=8)
    config.initializer_range = 0.2  # so that the text decides what comes next
    return models.new_seed_model(config, random_seed).eval()


def made(kind: str, vocabulary: int) -> Any:
    hub, one, two = (dense(seed, vocabulary) for seed in range(3))
    if kind == "dense":
        return hub
    experts = {"one": one, "two": two}
    if kind != "stitched":
        model = COMPOSITIONS_BY_NAME[kind].combine(hub, experts)
    else:
        model = models.StitchedForCausalLM.from_models(hub, experts, num_stitches=2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in (weight for weight in model.parameters() if weight.requires_grad):
            weight.add_(torch.empty_like(weight).normal_(0, 0.3, generator=generator))
    return model


@torch.no_grad()
def plainly(model: Any, tokenizer: Any, prompt: str, new_tokens: int) -> list[int]:
    ids = [tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    ids = ids[-(CONTEXT - new_tokens) :]
    said: list[int] = []
    while len(said) < new_tokens:
        logits = model(torch.tensor([ids + said]), use_cache=False).logits
        said.append(int(logits[0, -1].argmax()))
        if said[-1] == tokenizer.eos_token_id:
            return said[:-1]
    return said


@pytest.mark.parametrize("kind", ["dense", "stitched", "btm", "token-routing", "btx-sampled", "bam"])
def test_responses_are_those_of_a_plain_loop(kind: str, tokenizer: Any) -> None:
    model = made(kind, len(tokenizer))
    expected = [tokenizer.decode(plainly(model, tokenizer, prompt, 9)) for prompt in PROMPTS]
    assert len(set(expected)) > len(PROMPTS) // 2
    for batch_size in (1, 3, 32):
        assert respond(model, tokenizer, PROMPTS, 9, batch_size) == expected
    assert respond(model, tokenizer, PROMPTS[::-1], 9, 3) == expected[::-1]


def test_a_response_ends_with_the_text(tokenizer: Any) -> None:
    model = dense(0, len(tokenizer))
    said = plainly(model, tokenizer, PROMPTS[1], 9)
    place = next(i for i, token in enumerate(said) if i > 0 and token not in said[:i])
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(said[place])
    told = respond(model, tokenizer, PROMPTS, 9)
    assert told[1] == tokenizer.decode(said[:place])
    assert told == [tokenizer.decode(plainly(model, tokenizer, prompt, 9)) for prompt in PROMPTS]


def test_a_model_in_training_mode_answers_as_in_evaluation(tokenizer: Any) -> None:
    model = made("stitched", len(tokenizer))
    expected = respond(model, tokenizer, PROMPTS, 5)
    assert respond(model.train(), tokenizer, PROMPTS, 5) == expected


@pytest.mark.parametrize("wrong", [0, CONTEXT])
def test_more_tokens_than_the_context_are_refused(wrong: int, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match=f"new_tokens={wrong}: allowed are 1 to {CONTEXT - 1}, one less"):
        respond(dense(0, len(tokenizer)), tokenizer, PROMPTS, wrong)


def test_no_prompts_no_responses(tokenizer: Any) -> None:
    assert respond(dense(0, len(tokenizer)), tokenizer, [], 5) == []


def test_the_share_held_has_its_error() -> None:
    rows = [("a", "yes", "yes"), ("a", "yes it is", "yes"), ("a", "no", "yes"), ("b", "", "yes")]
    frame = pd.DataFrame(rows, columns=["category", "response", "argument"]).assign(rule="first_word")
    a, b = held_by_category(frame)
    assert (a["category"], a["items"], b["category"], b["items"]) == ("a", 3, "b", 1)
    assert a["share"] == pytest.approx(2 / 3)
    assert a["stderr"] == pytest.approx(((2 / 3) * (1 / 3) / 2) ** 0.5)
    assert (b["share"], b["stderr"]) == (0, None)
    assert held_by_category(frame[:0]) == []
