"""Dialogues and pairs from files: what is taken, and each fault refused by file and line."""

from __future__ import annotations

import json
import re

import pytest

from tasks.chat.dialogue_lines import read_dialogues, read_pairs
from tasks.preference.rating.compared_answers import Answer
from tasks.preference.rating.handing_on import handed_on
from tasks.preference.rating.vote_book import Said, VoteBook


def written(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8"
    )
    return path


USER = {"role": "user", "content": "a"}
GOOD = {"prompt": "a", "response": "b"}
PAIR = {"prompt": "a", "chosen": "b", "rejected": "c", "strength": 2}


def test_both_shapes_of_a_dialogue_are_read(tmp_path):
    path = written(
        tmp_path,
        GOOD,
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    )
    first, second = read_dialogues(path)
    assert list(first.messages) == list(second.messages)
    assert second.where == f"{path}, line 2"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "a", "response": " "}, "response is empty"),
        ({"prompt": "a"}, "response is missing"),
        ({"messages": [USER, {"role": "assistant", "content": ""}]}, "(assistant) is empty"),
        ({"messages": [USER, USER]}, "must take turns"),
        ({"messages": [USER]}, "no answer in it"),
        ({"messages": [{"role": "bot", "content": "a"}]}, "role='bot'"),
        ({"messages": "hello"}, "messages: allowed: a list"),
        (GOOD | {"learn_from": 2}, "learn_from is 2; allowed: 0 to 1"),
    ],
)  # fmt: skip
def test_a_dialogue_that_cannot_be_learnt_from_is_refused_by_line(tmp_path, row, said):
    path = written(tmp_path, GOOD, row)
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 2: ") + ".*" + re.escape(said)):
        read_dialogues(path)


@pytest.mark.parametrize(("row", "said"), [("{", "not JSON"), ("[1]", "not a JSON object but list")])
def test_a_line_that_is_no_object_is_refused_by_its_number(tmp_path, row, said):
    path = written(tmp_path, GOOD, row)
    with pytest.raises(ValueError, match=re.escape(f"{path}:2: {said}")):
        read_dialogues(path)


def test_a_file_without_a_line_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no line in it"):
        read_dialogues(written(tmp_path, ""))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (PAIR | {"strength": 5}, "strength is 5; allowed: 1"),
        (PAIR | {"strength": 0}, "strength is 0"),
        (PAIR | {"strength": "much"}, "strength is 'much'"),
        (PAIR | {"strength": True}, "strength is True"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "strength is None"),
        (PAIR | {"rejected": "b "}, "the same text"),
        (PAIR | {"chosen": ""}, "chosen is empty"),
        (PAIR, "stands in"),
        (PAIR | {"chosen": "c", "rejected": "b"}, "stands in"),
    ],
)
def test_a_pair_that_says_nothing_is_refused_by_line(tmp_path, row, said):
    path = written(tmp_path, PAIR, row)
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 2: ") + ".*" + re.escape(said)):
        read_pairs(path)


def test_what_people_voted_is_read_also_where_they_hardly_decided(tmp_path):
    answers = [Answer("q", "", "?", model, f"{model} says") for model in ("alpha", "beta")]
    votes = VoteBook.made(tmp_path / "votes.sqlite", answers)
    for annotator, strength in (("ann", 2), ("bo", 0), ("cy", 0)):
        shown = votes.next(annotator)
        side = "left" if shown.left < shown.right else "right"
        votes.vote(shown.id, annotator, Said(side if strength else "tie", strength))
    handed_on(votes, tmp_path)
    (pair,) = read_pairs(tmp_path / "pairs.jsonl")
    assert (pair.chosen, pair.rejected, pair.strength) == ("alpha says", "beta says", 1)  # the mean is 2/3
