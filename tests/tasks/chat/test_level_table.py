"""The table of levels: cells worked by hand, bits by one forward pass a text, examples that are not the item."""

from __future__ import annotations

import math

import pytest
import torch

import models
from tasks.chat.level_table import answer_bits, level_table, shown_with
from tasks.chat.plain_template import with_template
from tasks.chat.sampling import Speaker
from tasks.instructions.collections import Example
from tasks.instructions.split_certificate import CATEGORY, INSTANCE
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer


def example(question, answer="yes", task="t"):
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Example(task, "c", "", turns, "x.jsonl, line 1")


def test_examples_shown_are_others_and_the_item_stands_last():
    examples = [example(f"q{n}", f"a{n}") for n in range(5)] + [example("q0", "worded otherwise")]
    shown = shown_with(examples, 0, 4, 0)
    asked = [m["content"] for m in shown if m["role"] == "user"]
    assert (sorted(asked[:-1]), asked[-1]) == (["q1", "q2", "q3", "q4"], "q0")
    assert shown_with(examples, 0, 4, 0) == shown and shown_with(examples, 0, 0, 0) == shown[-2:]
    with pytest.raises(
        ValueError, match="task 't' has 4 examples with another question; allowed: --shots 0 to 4"
    ):
        shown_with(examples, 0, 5, 0)


def test_a_cell_is_the_mean_over_tasks_and_its_interval_over_items():
    def rows(task, exact, bits):
        return [{"task": task, "exact": e, "bits": b, "bytes": 4} for e, b in zip(exact, bits, strict=True)]

    items = [*rows("a", (1, 0, 0, 1), (4, 8, 4, 8)), *rows("b", (0, 1), (2, 2)), *rows("c", (1,), (1,))]
    levels = {"a": INSTANCE, "b": INSTANCE, "c": CATEGORY}
    held, same = level_table({("m", 2): items}, levels, {"m": True})
    assert (held["level"], held["tasks"], held["items"], held["exact_low"]) == (CATEGORY, 1, 1, None)
    assert (same["level"], same["shots"], same["tasks"], same["items"]) == (INSTANCE, 2, 2, 6)
    # a: mean 1/2, error sqrt(1/3 / 4); b: mean 1/2, error sqrt(1/2 / 2)
    assert same["exact"] == 0.5
    assert same["exact_high"] == pytest.approx(min(1, 0.5 + 1.959964 * math.sqrt(1 / 12 + 1 / 4) / 2))
    # bits a byte: 24 / 16 and 4 / 8; a's error sqrt(4/3 * 16) / 16, b's 0
    assert same["bits"] == pytest.approx((1.5 + 0.5) / 2)
    assert same["bits"] - same["bits_low"] == pytest.approx(1.959964 * math.sqrt(64 / 3) / 16 / 2)


def test_bits_of_an_answer_are_those_of_one_text_at_a_time():
    tokenizer = with_template(make_tokenizer(TokenizerSettings(vocab_size=320), ["some words of text"] * 9))
    config = models.seed_config(len(tokenizer), 16, 1, 1, max_length=200, ffn_multiple=8)
    speaker = Speaker(models.new_seed_model(config, 0), tokenizer, 4)
    dialogues = [list(example(f"q{'x' * n}", f"a{n}{'y' * n}").messages) for n in range(11)]
    for messages, bits in zip(dialogues, answer_bits(speaker, dialogues), strict=True):
        before = tokenizer(f"User: {messages[0]['content']}\nAssistant: ")["input_ids"]
        answer = [*tokenizer(messages[1]["content"])["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logits = speaker.model(torch.tensor([[*before, *answer]])).logits[0, len(before) - 1 : -1]
        by_hand = -sum(float(row.log_softmax(-1)[token]) for row, token in zip(logits, answer, strict=True))
        assert bits == pytest.approx(by_hand / math.log(2), rel=1e-4)
