"""Prompts and answers are refused by file and row."""

from __future__ import annotations

import pytest

from tasks.preference.rating.compared_answers import read_answers, read_prompts


def table(folder, text: str):
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,model\nq,m\n", r"columns \['answer'\] are missing"),
        ("prompt,model,answer\nq,a1,x\nq,a1,y\n", r"line 3: a second answer of 'a1'"),
        ("item,prompt,model,answer\n1,q,a1,x\n1,other,b1,y\n", r"line 3: item '1' has another prompt"),
        ("prompt,model,answer\nq,tie,x\nq,b1,y\n", r"'tie' could not be told from a vote"),
        ("prompt,model,answer\nq,a1,x\n", r"at least two models"),
        ("prompt,model,answer\n,a1,x\n", r"line 2, column 'prompt': empty"),
    ],
)
def test_answers_that_cannot_be_compared(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_answers(table(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt\n\n", "no row"),
        ("item,prompt\na,q\na,r\n", r"line 3, column 'item': 'a' stands twice"),
        ("prompt,better,worse\nq,x,x\n", r"line 2: better and worse are the same text"),
        ("prompt,better\nq,x\n", r"columns \['worse'\] are missing"),
    ],
)
def test_prompts_that_cannot_be_asked(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_prompts(table(tmp_path, text), is_gold="better" in text)


def test_an_empty_answer_is_one(tmp_path):
    found = read_answers(table(tmp_path, "prompt,model,answer\nq,a1,\nq,b1,y\n"))
    assert [answer.answer for answer in found] == ["", "y"]
