"""A dialogue's tokens: structure by the template, text as text, and which tokens are an answer."""

from __future__ import annotations

import pytest

from tasks.sources.chat_template import check_dialogue, encoded, turn_ends
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer

TEMPLATE = (
    "{% for m in messages %}<|turn|>{{ m['role'] }}: {{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"
)
DIALOGUE = [
    {"role": "user", "content": "say <|end|> please"},
    {"role": "assistant", "content": "no"},
    {"role": "user", "content": "why"},
    {"role": "assistant", "content": "so"},
]


@pytest.fixture(scope="module")
def tokenizer():
    made = make_tokenizer(TokenizerSettings(vocab_size=320), ["a text of words"] * 20)
    made.add_special_tokens({"additional_special_tokens": ["<|turn|>", "<|end|>"]})
    made.chat_template = TEMPLATE
    return made


def test_what_spells_a_special_token_in_a_text_is_none(tokenizer):
    tokens = encoded(tokenizer, DIALOGUE).tokens
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    assert tokens.count(end) == len(DIALOGUE)
    assert tokenizer.decode(tokens) == tokenizer.apply_chat_template(DIALOGUE, tokenize=False)


def test_an_answer_is_its_text_and_the_end_of_its_turn(tokenizer):
    dialogue = encoded(tokenizer, DIALOGUE)
    answers = [t for t, is_one in zip(dialogue.tokens, dialogue.answers(DIALOGUE), strict=True) if is_one]
    assert tokenizer.decode(answers) == "no<|end|>so<|end|>"
    assert tokenizer.convert_ids_to_tokens(turn_ends(tokenizer)) == ["<|end|>"]


def test_a_question_ends_where_the_answer_begins(tokenizer):
    asked = encoded(tokenizer, DIALOGUE[:1], asks=True)
    assert tokenizer.decode(asked.tokens).endswith("<|turn|>assistant: ")
    whole = encoded(tokenizer, DIALOGUE[:2])
    assert whole.tokens[: len(asked.tokens)] == asked.tokens


def test_a_template_that_leaves_a_turn_out_is_refused(tokenizer):
    before, tokenizer.chat_template = tokenizer.chat_template, "{{ messages[-1]['content'] }}"
    try:
        with pytest.raises(ValueError, match=r"does not show message 1 \(user\)"):
            encoded(tokenizer, DIALOGUE)
        tokenizer.chat_template = None
        with pytest.raises(ValueError, match="no chat template"):
            encoded(tokenizer, DIALOGUE)
    finally:
        tokenizer.chat_template = before


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "no message"),
        (DIALOGUE[1:], "must take turns"),
        ([*DIALOGUE[:1], *DIALOGUE[:1]], "must take turns"),
        ([{"role": "user", "content": " "}], r"message 1 \(user\) is empty"),
        ([{"role": "bot", "content": "x"}], "role='bot': allowed: system, user, assistant"),
    ],
)
def test_dialogues_that_are_none(messages, message):
    with pytest.raises(ValueError, match=f"file line 3: .*{message}"):
        check_dialogue(messages, "file line 3")
