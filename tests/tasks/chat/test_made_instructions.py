"""What rules make: points by hand, nothing held out in what is trained on, strengths as points apart."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.chat.made_instructions import make_instructions
from tasks.chat.made_questions import Question, rated, styled
from tasks.chat.settings import MadeChatSettings

HOT = Question("opposite", "What is the opposite of hot?", "cold")
SEVEN = Question("after", "Which number comes after 6?", "7")


@pytest.mark.parametrize(
    ("question", "said", "points"),
    [
        (HOT, "It is cold.", 4),
        (HOT, "It is cold", 3),
        (HOT, "cold.", 3),
        (HOT, "cold", 2),
        (HOT, "I think that the answer is cold", 1),
        (HOT, "It is hot.", 3),
        (HOT, "It is colder.", 3),
        (HOT, "", 0),
        (SEVEN, "It is 7.", 4),
        (SEVEN, "I think it was not 17", 0),
    ],
)
def test_points_by_the_rules(question, said, points):
    assert rated(question, said) == points


def test_every_style_has_the_points_that_it_is_for():
    drawn = np.random.default_rng(0)
    for points in range(1, 5):
        assert {rated(HOT, styled("cold", points, drawn)) for _ in range(50)} == {points}


def test_nothing_held_out_is_trained_on():
    made = make_instructions(MadeChatSettings(dialogues=200, pairs=300, prompts=100, heldout=60), 0)
    heldout = {question.prompt for question in made.heldout}
    said = {m["content"] for row in made.dialogues for m in row["messages"] if m["role"] == "user"}
    assert not any(prompt in text for prompt in heldout for text in said)
    assert not heldout & ({row["prompt"] for row in made.pairs} | {q.prompt for q in made.prompts})
    assert {row["prompt"] for row in made.heldout_pairs} <= heldout
    assert {row["strength"] for row in made.pairs} == {1, 2, 3, 4}
    assert {row["origin"] for row in [*made.dialogues, *made.pairs]} == {"programmatic"}
