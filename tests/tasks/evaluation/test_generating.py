"""What is written for generation tasks: the harness' own texts, in any batch, for every model with a cache."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Sequence
from contextlib import closing

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from storage.home import Home
from storage.kept_scores import AnswerStore
from tasks.evaluation.harness_model import harness_model
from tasks.evaluation.model_reading import Reading
from tests.tasks.evaluation.test_shared_prefixes import LENGTH, MODELS, seed

PIECES = [*"abcdefghijklmnopqrs", " ", "\n", "ab\nc", "the", "e e", "\n\n", "ö", "zz"]
STOPS = [
    ["a"],
    ["\n\n"],
    ["b\nc", "e e"],
    ["he"],
    ["zz", "q"],
    ["nothing ends with this"],
    ["e", "<eos>"],
    [],
]


def pieces() -> PreTrainedTokenizerFast:
    """Of the models' 28 tokens; some hold a stop string, or a part of one. The last ends a text."""
    vocabulary = {piece: index for index, piece in enumerate([*PIECES, "<eos>"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


def requests(stops: list[list[str]] = STOPS) -> list[Instance]:
    draw = random.Random(0)
    contexts = ["".join(draw.choice("abcdefgh \n") for _ in range(draw.randint(1, 110))) for _ in range(17)]
    contexts[5] = contexts[3]
    asked = [
        (
            context,
            {
                "until": stops[n % len(stops)],
                "max_gen_toks": (8, 16)[n // len(stops) % 2],
                "do_sample": False,
            },
        )
        for n, context in enumerate(contexts)
    ]
    asked[-1] = (contexts[-1], {"until": "a", "max_new_tokens": 9, "temperature": 0.0})
    return [Instance("generate_until", {}, pair, n, metadata=("t", n, 1)) for n, pair in enumerate(asked)]


def harness_texts(model, asked: list[Instance]) -> list[str]:
    """By the harness' own class, one request at a time."""
    tokenizer = copy.deepcopy(pieces())
    tokenizer.split_special_tokens = True
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1).generate_until(asked, disable_tqdm=True)


def texts(model, asked: list[Instance], reading: Reading = Reading()) -> list[str]:
    with harness_model(model, pieces(), reading, None) as wrapped:
        return wrapped.generate_until(asked)


@pytest.mark.parametrize("kind", ["llama", "sliding windows", "stitched", "routed by prefix", "upcycled"])
def test_texts_are_the_harness_own(kind: str) -> None:
    model = MODELS[kind]()
    expected = harness_texts(model, requests())
    assert len(set(expected)) > 8 and len({len(text) for text in expected}) > 4
    assert texts(model, requests()) == expected
    assert texts(model, requests(), Reading(batch_tokens=20)) == expected


@pytest.mark.parametrize("named", [None, 27])
def test_a_text_ends_with_its_own_end_whatever_goes_on_beside_it(named: int | None) -> None:
    """The last token ends a text where the model's configuration names it, and where it does not."""
    model = seed()
    with torch.no_grad():
        model.lm_head.weight[27] *= 3  # so that it comes up
    model.generation_config.eos_token_id = named
    expected = harness_texts(model, requests([["zz"]]))
    assert any(len(text) < 6 for text in expected) and any(len(text) > 12 for text in expected)
    assert texts(model, requests([["zz"]])) == expected


def test_what_was_written_is_not_written_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path))
    model, said = seed(), []
    expected = harness_texts(model, requests())
    generate, calls = model.generate, []

    def counted(**given):
        calls.append(len(given["input_ids"]))
        if len(calls) == fails_at:
            raise KeyboardInterrupt
        return generate(**given)

    model.generate = counted

    def written() -> list[str]:
        calls.clear()
        with closing(AnswerStore(Home.from_environment(), "f" * 64, {})) as store:
            return texts(model, requests(), Reading(answers=store, say=said.append))

    fails_at = 4
    with pytest.raises(KeyboardInterrupt):
        written()
    before, fails_at = sum(calls[:3]), -1
    assert written() == expected
    different = len({str(request.args) for request in requests()})
    assert sum(calls) == different - before > 0
    assert written() == expected and calls == []
    assert said == [f"{n} of {different} texts were answered before" for n in (before, different)]


def test_what_is_not_greedy_is_left_to_the_harness(monkeypatch) -> None:
    asked = requests()
    asked[2] = Instance(
        "generate_until",
        {},
        ("abc", {"do_sample": True, "temperature": 1.0, "max_gen_toks": 9}),
        2,
        ("t", 2, 1),
    )
    left: list[int] = []
    monkeypatch.setattr(HFLM, "generate_until", lambda self, some, _: left.append(len(some)) or ["drawn"])
    with harness_model(seed(), pieces(), Reading(), None) as wrapped:
        found = wrapped.generate_until(asked)
    assert left == [1] and found[2] == "drawn"


def test_more_than_the_model_has_room_for_is_refused() -> None:
    asked = [Instance("generate_until", {}, ("abc", {"until": ["a"]}), 0, ("sums", 0, 1))]
    with (
        harness_model(seed(), pieces(), Reading(), None) as wrapped,
        pytest.raises(
            ValueError, match=f"'sums' lets the model write 256 tokens; allowed: 1 to {LENGTH - 1}"
        ),
    ):
        wrapped.generate_until(asked)


def test_texts_are_drawn_at_the_temperature_and_the_same_in_any_batch() -> None:
    """First tokens against the model's own distribution, longer texts one at a time against many."""
    model, temperature = MODELS["llama"](), 0.05

    def drawn(draws: Sequence[int], batch: int, most: int) -> list[str]:
        how = {"until": [], "max_gen_toks": most, "do_sample": True, "temperature": temperature}
        asked = [("ab", {**how, "draw": draw}) for draw in draws]
        instances = [
            Instance("generate_until", {}, pair, n, metadata=("t", n, 1)) for n, pair in enumerate(asked)
        ]
        return texts(model, instances, Reading(batch))

    found = drawn(range(2000), 2048, 1)
    tokenizer = pieces()
    with torch.no_grad():
        logits = model(torch.tensor([tokenizer("ab")["input_ids"]])).logits[0, -1]
    shares = (logits / temperature).softmax(-1).tolist()
    assert 0.1 < max(shares) < 0.9
    for token, share in enumerate(shares[:-1]):  # the last ends a text
        error = math.sqrt(share * (1 - share) / 2000)
        assert found.count(tokenizer.decode([token])) / 2000 == pytest.approx(share, abs=4 * error + 1e-9)
    many = drawn(range(9), 2048, 8)
    assert drawn([7, 3], 1, 8) == [many[7], many[3]] and len(set(many)) > 4


def shared_requests() -> list[Instance]:
    """Two few-shot blocks with questions of many lengths, one of which goes on with another; one asked twice."""
    draw = random.Random(1)

    def word(low: int, high: int) -> str:
        return "".join(draw.choice("abcdefgh ") for _ in range(draw.randint(low, high)))

    blocks = [word(40, 40), word(33, 33)]
    contexts = [block + word(1, 14) for block in blocks for _ in range(7)] + [word(2, 30) for _ in range(3)]
    contexts += [contexts[0] + "ab", contexts[0], blocks[1], "a", "a"]
    how = {"until": ["\n\n", "zz"], "max_gen_toks": 12, "do_sample": False}
    return [
        Instance(
            "generate_until",
            {},
            (context, {**how, "max_gen_toks": 12 + (n % 2 if n > 19 else 0)}),
            n,
            ("t", n, 1),
        )
        for n, context in enumerate(contexts)
    ]


@pytest.mark.parametrize("kind", MODELS)
def test_what_prompts_begin_with_is_read_once_for_the_same_texts(kind: str) -> None:
    model = MODELS[kind]()
    expected = harness_texts(model, shared_requests())
    read: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _, args, given: read.append((given["input_ids"] if "input_ids" in given else args[0]).numel()),
        with_kwargs=True,
    )
    assert texts(model, shared_requests()) == expected
    shared, read[:] = sum(read), []
    assert texts(model, shared_requests(), Reading(shared_prefixes=False)) == expected
    assert shared < 0.8 * sum(read)
    handle.remove()
    assert texts(model, shared_requests(), Reading(batch_tokens=20)) == expected
