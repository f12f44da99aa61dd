"""Items that cannot be scored are refused by name, and an option that stands twice is right twice."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.benchmarks.items import Benchmark
from tasks.benchmarks.kinds import choice, cloze

CHOICE = {"id": "i7", "context": "c", "choices": [" a", " b"], "answer": 0}
CLOZE = {"id": "i7", "contexts": ["a", "b"], "continuation": " c", "answer": 0}


@pytest.mark.parametrize(
    ("kind", "item", "said"),
    [
        (
            "choice",
            CHOICE | {"choices": [" a", ""]},
            r"choices \[' a', ''\]; allowed: strings that hold text",
        ),
        ("choice", CHOICE | {"choices": [" a", " "]}, "choices .*; allowed: strings that hold text"),
        ("choice", CHOICE | {"choices": [" a", None]}, "choices .*; allowed: strings that hold text"),
        ("choice", CHOICE | {"choices": "ab"}, "choices ab; allowed: strings"),
        ("choice", CHOICE | {"choices": []}, "answer 0; allowed"),
        ("choice", CHOICE | {"answer": "B"}, "answer 'B'; allowed: 0 to 1"),
        ("choice", CHOICE | {"answer": True}, "answer True; allowed: 0 to 1"),
        ("choice", CHOICE | {"answer": 2}, "answer 2; allowed: 0 to 1"),
        ("choice", CHOICE | {"context": None}, "context is no string"),
        ("cloze", CLOZE | {"continuation": ""}, "continuation is empty"),
        ("cloze", CLOZE | {"contexts": ["a", ""]}, "contexts .*; allowed: strings that hold text"),
        (
            "answer",
            {"id": "i7", "context": "c", "answers": [""]},
            "answers .*; allowed: strings that hold text",
        ),
    ],
)
def test_an_item_that_cannot_be_scored_is_named(kind: str, item: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"benchmark 'b': item 'i7': {said}"):
        Benchmark("b", kind, None, "acc", [item])


@pytest.mark.parametrize("chosen", [0, 2])
def test_both_copies_of_the_right_option_are_right(chosen: int) -> None:
    results = [(0.0 if place == chosen else -5.0, False) for place in range(3)]
    item = CHOICE | {"choices": [" ice", " fire", " ice"], "answer": 2}
    told = choice.KIND.score(item, results)
    assert (told["acc"], told["acc_norm"]) == (1.0, 1.0)
    item = CLOZE | {"contexts": ["ice", "fire", "ice"], "answer": 2}
    assert cloze.KIND.score(item, results)["acc"] == 1.0
    assert cloze.KIND.score(item, [(-1.0, False), (0.0, False), (-1.0, False)])["acc"] == 0.0


def test_nothing_is_chosen_among_likelihoods_that_are_no_numbers() -> None:
    with pytest.raises(ValueError, match="one is not a number"):
        choice.KIND.score(CHOICE, [(float("nan"), False), (-1.0, False)])
