"""Dialogues and pairs from files: what is taken, and each fault refused by file and line."""

from __future__ import annotations

import json
import re

import pytest

from tasks.chat.dialogue_lines import Pair, margins_of, read_dialogues, read_pairs


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
        ("{", "no JSON"),
        ("[1]", "list; allowed: an object"),
    ],
)  # fmt: skip
def test_a_dialogue_that_cannot_be_learnt_from_is_refused_by_line(tmp_path, row, said):
    path = written(tmp_path, GOOD, row)
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 2: ") + ".*" + re.escape(said)):
        read_dialogues(path)


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


def test_margins_are_those_of_the_papers_table_27():
    pairs = [Pair("a", "b", "c", strength, "here") for strength in (4, 3, 2, 1, 2.5)]
    assert margins_of(pairs, "none") == [0, 0, 0, 0, 0]
    assert margins_of(pairs, "small") == pytest.approx([1, 2 / 3, 1 / 3, 0, 0.5])
    assert margins_of(pairs, "large") == [3, 2, 1, 0, 1.5]
