"""A row of JSON lines becomes the messages that stand in it, letter by letter, whatever its columns are called."""

from __future__ import annotations

import json

import pytest

from tasks.chat.dialogue_lines import read_dialogues
from tasks.instructions.collections import read_collection
from tasks.sources.dialogue_rows import messages_of

SAID = [{"role": "user", "content": " a\n"}, {"role": "assistant", "content": "b "}]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": " a\n", "response": "b "},
        {"instruction": " a\n", "output": "b "},
        {"question": " a\n", "completion": "b ", "input": None},
        {"messages": SAID},
        {"messages": [{**message, "name": "x"} for message in SAID]},
        {"messages": json.dumps(SAID)},
    ],
)
def test_every_shape_of_a_row_is_the_same_dialogue(row):
    assert messages_of(row, "here") == SAID


def test_rows_of_one_file_may_differ_in_their_columns_for_both_who_read_them(tmp_path):
    rows = [{"prompt": " a\n", "response": "b "}, {"instruction": " a\n", "output": "b "}, {"messages": SAID}]
    path = tmp_path / "qa.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert [list(example.messages) for example in read_dialogues(path)] == [SAID] * 3
    (examples,) = read_collection(tmp_path, "--train").values()
    assert [list(example.messages) for example in examples] == [SAID] * 3
    assert examples[2].place == f"{path}, line 3"


def test_what_is_no_list_of_messages_is_refused():
    for told in ("hello", "[1]", [1], [{"role": "user"}], {"role": "user", "content": "a"}):
        with pytest.raises(
            ValueError, match="here: messages: allowed: a list of objects with role and content"
        ):
            messages_of({"messages": told}, "here")
