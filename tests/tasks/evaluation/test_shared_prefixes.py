"""What is read once gives the answers of reading every text whole, for every model with a cache, in every batch."""

from __future__ import annotations

import inspect
import math
import random
from contextlib import closing

import numpy as np
import pytest
import torch
from lm_eval.api.instance import Instance
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from models import StitchedForCausalLM, new_seed_model, seed_config
from models.combined.ensemble import EnsembleForCausalLM
from models.combined.routed import RoutedForCausalLM
from models.combined.upcycled import UpcycledForCausalLM
from storage.home import Home
from storage.kept_scores import AnswerStore
from tasks.evaluation.harness_model import harness_model
from tasks.evaluation.model_reading import Reading
from tasks.evaluation.prefix_reading import can_share
from tasks.evaluation.prefix_tree import prefix_tree
from tasks.evaluation.shared_prefixes import Row, shared_loglikelihoods

LETTERS = "abcdefghijklmnopqrstuvwxyz "
LENGTH = 96


def seed(number: int = 0, **also: object):
    config = seed_config(
        vocab_size=len(LETTERS) + 1,
        hidden_size=16,
        num_layers=3,
        num_heads=4,
        max_length=LENGTH,
        ffn_multiple=8,
    )
    config.initializer_range = 0.2  # so that a wrong state shows
    return new_seed_model(config, number).eval()


def moved(model):
    """Routers, gates, adapters and projections off their start."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if any(word in name for word in ("router", "adapters", "gate", "projections")):
                weight.add_(torch.empty_like(weight).normal_(0, 0.5, generator=generator))
    return model


def gemma3():
    config = AutoConfig.for_model(
        "gemma3_text", vocab_size=28, hidden_size=16, intermediate_size=24, num_hidden_layers=3, head_dim=4,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=LENGTH, initializer_range=0.2,
        sliding_window=4, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )  # fmt: skip
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def batched():
    model = moved(StitchedForCausalLM.from_models(seed(), {"a": seed(1)}, 2))
    model.batch_streams()
    return model


MODELS = {
    "llama": seed,
    "sliding windows": gemma3,
    "stitched": lambda: moved(StitchedForCausalLM.from_models(seed(), {"a": seed(1), "b": seed(2)}, 2)),
    "batched streams": batched,
    "ensemble": lambda: EnsembleForCausalLM.from_models(seed(), {"a": seed(1)}),
    "routed": lambda: moved(RoutedForCausalLM.from_models(seed(), {"a": seed(1), "b": seed(2)})),
    "routed by prefix": lambda: moved(
        RoutedForCausalLM.from_models(seed(), {"a": seed(1), "b": seed(2)}, prefix_tokens=9)
    ),
    "upcycled": lambda: moved(UpcycledForCausalLM.from_models(seed(), {"a": seed(1)})),
}


def letters() -> PreTrainedTokenizerFast:
    vocabulary = {letter: index for index, letter in enumerate(LETTERS)} | {"<eos>": len(LETTERS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


def texts() -> list[tuple[str, str]]:
    """Few-shot blocks, questions under them with choices of one and several tokens, minimal pairs, long texts."""
    draw = random.Random(0)

    def word(low: int, high: int) -> str:
        return "".join(draw.choice(LETTERS[:26]) for _ in range(draw.randint(low, high)))

    pairs = []
    for block in (word(40, 40), word(30, 30), ""):
        for _ in range(5):
            question = block + word(2, 12) if block else word(3, 25)
            pairs += [(question, word(1, 9)) for _ in range(3)]
            pairs += [(question, letter) for letter in "abcd"]
    for _ in range(4):
        begin = word(5, 15)
        pairs += [("", begin + word(1, 1) + word(3, 9)), ("", begin + word(1, 1) + word(3, 9))]
    pairs += [("abc", "xyz"), ("abc", "xyz"), ("ab", "cxyz")]  # equal ones, and one cut elsewhere
    pairs += [(word(90, 120), choice) for choice in ("x", "hello", word(20, 20))]
    draw.shuffle(pairs)
    return pairs


def answers(model, pairs: list[tuple[str, str]], reading: Reading) -> list[tuple[float, bool]]:
    requests = [
        Instance("loglikelihood", {}, pair, number, metadata=("t", number // 2, 1))
        for number, pair in enumerate(pairs)
    ]
    with harness_model(model, letters(), reading, None) as wrapped:
        assert wrapped.shares_prefixes == reading.shared_prefixes
        return wrapped.loglikelihood(requests)


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_read_once_gives_the_answers_of_reading_everything(kind: str) -> None:
    model, pairs = MODELS[kind](), texts()
    whole = answers(model, pairs, Reading(shared_prefixes=False))
    for batch_tokens in (1, 100, 700, 100_000):
        shared = answers(model, pairs, Reading(batch_tokens))
        assert max(abs(a[0] - b[0]) for a, b in zip(shared, whole, strict=True)) < 1e-4
        assert [a[1] for a in shared] == [b[1] for b in whole]


def test_tokens_are_read_once() -> None:
    """A block of 50 tokens, 8 questions of 10 under it, 4 choices of 3 each: 50 + 8 (10 + 4 * 2) at most."""
    model, read = seed(), []
    rows = [
        Row([1] * 50 + [2 + question, *[3] * 9, 10 + choice, 5], [10 + choice, 5, 6])
        for question in range(8)
        for choice in range(4)
    ]
    forward = model.forward

    def counted(input_ids: torch.Tensor, **more):
        read.append(input_ids.numel())
        return forward(input_ids=input_ids, **more)

    model.forward, model.forward.__wrapped__ = counted, forward
    shared_loglikelihoods(model, rows, 10_000)
    assert sum(read) == 50 + 8 * (10 + 4 * 2)
    assert len(read) == 3  # block, questions, choices
    assert sum(len(row.tokens) for row in rows) == 32 * 62


def test_one_token_choices_take_one_row_of_logits() -> None:
    model = seed()
    rows = [Row([1, 2, 3, 4, 5, 6], [letter]) for letter in range(4)]
    nats, greedy = shared_loglikelihoods(model, rows, 100)
    with torch.no_grad():
        expected = torch.log_softmax(model(torch.tensor([[1, 2, 3, 4, 5, 6]])).logits[0, -1], dim=-1)
    assert nats == pytest.approx(expected[:4].numpy(), abs=1e-5)
    assert greedy.tolist() == [letter == int(expected.argmax()) for letter in range(4)]
    assert [node.rows for node in prefix_tree([row.tokens for row in rows])] == [[0, 1, 2, 3]]


def test_every_row_ends_in_one_node_that_spells_it() -> None:
    draw = random.Random(1)
    rows = [[draw.randint(0, 2) for _ in range(draw.randint(1, 12))] for _ in range(300)]
    found: dict[int, list[int]] = {}
    waiting = [(node, []) for node in prefix_tree(rows)]
    while waiting:
        node, before = waiting.pop()
        assert node.start == len(before) and node.tokens[: node.start].tolist() == before
        for row in node.rows:
            assert row not in found
            found[row] = node.tokens.tolist()
        below = {*node.rows, *(row for child in node.children for row in child.below)}
        assert below == set(node.below)
        waiting += [(child, node.tokens.tolist()) for child in node.children]
    assert [found[number] for number in range(300)] == rows


def test_a_recurrent_state_is_read_whole() -> None:
    config = AutoConfig.for_model(
        "mamba", vocab_size=28, hidden_size=16, num_hidden_layers=1, state_size=4, expand=1
    )
    assert not can_share(AutoModelForCausalLM.from_config(config))
    assert can_share(seed())


def test_a_check_says_the_largest_difference_and_ends_over_the_bound() -> None:
    said: list[str] = []
    model, pairs = seed(), [(question, choice) for question in ("hello", "world") for choice in ("ab", "cd")]
    answers(model, pairs, Reading(check=1, say=said.append))
    assert said[0].startswith("1 items (2 texts) read whole too: largest difference ")
    assert said[0].endswith("another choice on 0")

    class Wrong(type(model)):
        """Its logits from a cache are not those of the whole text."""

        def forward(self, input_ids, attention_mask=None, position_ids=None, past_key_values=None, use_cache=None,
                    logits_to_keep=0, **more):  # fmt: skip
            output = super().forward(
                input_ids, attention_mask, position_ids, past_key_values, use_cache=use_cache,
                logits_to_keep=logits_to_keep, **more,
            )  # fmt: skip
            if position_ids is not None:
                output.logits[..., 0] += 1
            return output

    model.__class__ = Wrong
    with pytest.raises(ValueError, match=r"largest difference .* allowed: 0.0001 nats in float32"):
        answers(model, pairs, Reading(check=2))
    assert not math.isnan(np.mean([nats for nats, _ in answers(model, pairs, Reading())]))


def test_an_evaluation_that_was_cut_off_goes_on_and_asks_nothing_twice(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path))
    model, pairs, read = seed(), texts(), []
    expected = answers(model, pairs, Reading(shared_prefixes=False))
    forward = model.forward

    def counted(input_ids: torch.Tensor, **more):
        if len(read) == fails_at:
            raise KeyboardInterrupt
        read.append(input_ids.numel())
        return forward(input_ids=input_ids, **more)

    counted.__signature__ = inspect.signature(forward)
    model.forward = counted

    def asked() -> int:
        read.clear()
        with closing(AnswerStore(Home.from_environment(), "f" * 64, {})) as store:
            found = answers(model, pairs, Reading(200, answers=store, say=said.append))
        assert max(abs(a[0] - b[0]) for a, b in zip(found, expected, strict=True)) < 1e-4
        assert [a[1] for a in found] == [b[1] for b in expected]
        return sum(read)

    said: list[str] = []
    fails_at = 6
    with pytest.raises(KeyboardInterrupt):
        asked()
    before, fails_at = sum(read), -1
    assert before > 0
    assert 0 < asked() < sum(len(a) + len(b) for a, b in pairs) - before
    assert said[0].endswith(f"of {len(pairs)} texts were answered before")
    assert asked() == 0
    assert said[-1] == f"{len(pairs)} of {len(pairs)} texts were answered before"
