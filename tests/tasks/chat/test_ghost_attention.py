"""Ghost Attention as a transform: where the instruction stands, and that no loss falls before the last answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.chat.ghost.ghost_attention import asked_every_turn, asked_once, ghost_example
from tasks.chat.packing import tokens_of
from tasks.chat.plain_template import with_template
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer
from tasks.training.objectives.answer_tokens import NOT_LEARNT

TEXT = st.text(min_size=1, max_size=20).filter(lambda text: text.strip())
INSTRUCTION = "Always end with the word moss."


@pytest.fixture(scope="module")
def tokenizer():
    return with_template(make_tokenizer(TokenizerSettings(vocab_size=320), ["some words of text"] * 9))


def dialogue(turns):
    return [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]


@given(turns=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_only_the_last_answer_is_learnt_whatever_is_said(tokenizer, turns):
    messages = dialogue(turns)
    example = ghost_example(messages, INSTRUCTION, "here")
    found = tokens_of(tokenizer, example, 10_000)
    last = tokenizer(turns[-1][1], add_special_tokens=False, split_special_tokens=True)["input_ids"]
    learnt = [label for label in found.labels if label != NOT_LEARNT]
    assert learnt == [*last, tokenizer.eos_token_id]
    # what is learnt are the last tokens but for the line's end behind them
    first = next(i for i, label in enumerate(found.labels) if label != NOT_LEARNT)
    assert found.tokens[first : first + len(learnt)] == learnt
    assert found.labels[first + len(learnt) :].count(NOT_LEARNT) == len(found.labels) - first - len(learnt)


@given(turns=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_the_instruction_is_asked_every_turn_and_kept_in_the_first(turns):
    messages = dialogue(turns)
    users = [f"{INSTRUCTION} {asked}" for asked, _ in turns]
    every = asked_every_turn(messages, INSTRUCTION)
    assert [m["content"] for m in every if m["role"] == "user"] == users
    once = asked_once(messages, INSTRUCTION)
    assert [m["content"] for m in once if m["role"] == "user"] == [
        users[0],
        *(asked for asked, _ in turns[1:]),
    ]
    for changed in (every, once):
        assert [m["content"] for m in changed if m["role"] == "assistant"] == [said for _, said in turns]


def test_a_dialogue_that_ends_with_a_question_is_refused():
    with pytest.raises(ValueError, match="the last message is no answer"):
        ghost_example([{"role": "user", "content": "a"}], INSTRUCTION, "here")
