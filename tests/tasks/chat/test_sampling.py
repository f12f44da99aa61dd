"""Answers that are drawn: each from its own random numbers, whoever is drawn beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import models
from tasks.chat.plain_template import with_template
from tasks.chat.sampling import GumbelNoise, Speaker
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer


@pytest.fixture(scope="module")
def speaker():
    tokenizer = with_template(make_tokenizer(TokenizerSettings(vocab_size=320), ["some words of text"] * 9))
    config = models.seed_config(len(tokenizer), 32, 2, 2, max_length=64, ffn_multiple=8)
    return Speaker(models.new_seed_model(config, 0), tokenizer, 8)


def asked(text):
    return [{"role": "user", "content": text}]


def test_an_answer_does_not_depend_on_its_neighbours(speaker):
    together = speaker.drawn([asked("a"), asked("bc def")], ["0", "1"], 1.0, 7)
    alone = speaker.drawn([asked("bc def")], ["1"], 1.0, 7)
    assert together[1] == alone[0]
    assert speaker.drawn([asked("bc def")], ["2"], 1.0, 7) != alone


def test_the_noise_draws_by_the_softmax_at_the_temperature():
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    noise = GumbelNoise([np.random.default_rng(0)], 2.0)
    drawn = torch.stack([noise(torch.zeros(1, 1), logits).argmax() for _ in range(4000)])
    shares = torch.bincount(drawn, minlength=3) / 4000
    torch.testing.assert_close(shares, (logits[0] / 2).softmax(0), atol=0.025, rtol=0)


def test_a_prompt_that_leaves_no_room_is_refused(speaker):
    with pytest.raises(ValueError, match="leaves no room for 8"):
        speaker.likeliest([asked("word " * 60)])
