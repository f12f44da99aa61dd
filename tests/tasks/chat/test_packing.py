"""Dialogues as rows: what is learnt of them, how they are packed, and in which order they are read."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.chat.dialogue_lines import Example
from tasks.chat.packing import Tokens, rows_of, tokens_of
from tasks.chat.plain_template import with_template
from tasks.chat.row_order import AnswerOrder
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer
from tasks.training.objectives.answer_tokens import NOT_LEARNT

N = NOT_LEARNT


@pytest.fixture()
def tokenizer():
    return make_tokenizer(TokenizerSettings(vocab_size=320), ["some words of text"] * 9)


def test_a_document_is_learnt_whole_but_for_its_first_token(tokenizer):
    found = tokens_of(tokenizer, Example((), "here", document="so it was <|endoftext|>"), 99)
    end = tokenizer.eos_token_id
    assert found.labels == [NOT_LEARNT, *found.tokens[1:]]
    assert found.tokens[-1] == end and end not in found.tokens[:-1]
    with pytest.raises(ValueError, match=r"here: .* allowed: a shorter dialogue or text"):
        tokens_of(tokenizer, Example((), "here", document="so " * 99), 20)


def test_the_first_token_of_an_answer_and_the_end_of_its_turn_are_learnt(tokenizer):
    example = Example([{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cd"}], "here")
    found = tokens_of(with_template(tokenizer), example, 99)
    learnt = [label for label in found.labels if label != N]
    assert tokenizer.decode(learnt) == "cd<|endoftext|>"
    assert tokenizer.decode(found.tokens) == "User: ab\nAssistant: cd<|endoftext|>\n"


def test_a_dialogue_longer_than_a_sequence_is_refused_by_line(tokenizer):
    example = Example(
        [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cd"}], "x.jsonl, line 3"
    )
    with pytest.raises(ValueError, match=r"x\.jsonl, line 3: \d+ tokens are more than the 5"):
        tokens_of(with_template(tokenizer), example, 5)


def test_a_template_that_marks_no_end_of_an_answer_is_refused(tokenizer):
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    with pytest.raises(ValueError, match="does not mark where an assistant's answer ends"):
        with_template(tokenizer)


def test_whole_dialogues_are_packed_where_they_fit():
    dialogues = [Tokens([1, 2, 3], [N, 2, 3]), Tokens([4, 5, 6], [N, N, 6]), Tokens([7, 8], [N, 8])]
    packed = rows_of(dialogues, 5, True, 0)
    assert packed[:, 0].tolist() == [[1, 2, 3, 7, 8], [4, 5, 6, 0, 0]]
    assert packed[:, 1].tolist() == [[N, 2, 3, N, 8], [N, N, 6, N, N]]
    assert packed[:, 2].tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, -1, -1]]
    assert rows_of(dialogues, 5, False, 0)[:, 0, 0].tolist() == [1, 4, 7]


def test_a_row_of_which_nothing_is_learnt_is_refused():
    with pytest.raises(ValueError, match="row 1: nothing of it is learnt"):
        rows_of([Tokens([1, 2], [N, 2]), Tokens([3, 4], [N, N])], 2, True, 0)


def test_every_epoch_reads_every_row_in_an_order_of_its_own():
    rows = rows_of([Tokens([n, n + 1], [N, n + 1]) for n in range(8)], 2, False, 0)
    order = AnswerOrder(rows, 2, 4, 0, "sft")
    read = [int(order.batch(range(n, n + 1))[0, 0, 0]) for n in range(len(order))]
    assert (sorted(read[:8]), sorted(read[8:])) == (list(range(8)), list(range(8)))
    assert read[:8] != read[8:]
    whole = order.batch(range(4, 8))
    assert whole[:, 3, :2].tolist() == [[4, 4]] * 4  # four learnt tokens and four rows a step
    np.testing.assert_array_equal(whole[2:], order.batch(range(6, 8)))


def test_less_than_one_step_is_refused():
    rows = rows_of([Tokens([1, 2], [N, 2])], 2, False, 0)
    with pytest.raises(ValueError, match="less than one step of 4"):
        AnswerOrder(rows, 2, 4, 0, "sft")
