"""How answers are spent, counted by hand; the temperature of the best expected reward; what does not go is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.chat.rejection.generation_budget import Spending, choose_temperature, spending_of
from tasks.chat.settings import RejectionSettings

AUTO = {"samples": "auto", "temperature": "auto", "answers": 200}


def test_answers_are_spent_on_all_prompts_and_a_quarter_on_temperatures():
    """150 / 16 = 9 each; of the 56 left 14 a temperature: 3 to each of 4 prompts."""
    settings = RejectionSettings(**AUTO)
    assert spending_of(settings, 16) == Spending(9, 3, 4)
    assert spending_of(settings, 16).answers(settings, 16) == 16 * 9 + 4 * 3 * 4 <= 200


def test_what_is_set_is_kept():
    assert spending_of(RejectionSettings(samples=7), 16) == Spending(7)
    known = RejectionSettings(samples="auto", temperature=1.0, answers=50)
    assert spending_of(known, 16) == Spending(3)
    tried = RejectionSettings(samples=3, temperature="auto", answers=80)  # 32 left, 8 a temperature
    assert spending_of(tried, 16) == Spending(3, 2, 4)


@pytest.mark.parametrize(
    ("settings", "prompts"),
    [(AUTO | {"answers": 40}, 16), ({"samples": 3, "temperature": "auto", "answers": 50}, 16)],
)
def test_too_few_answers_are_refused(settings, prompts):
    with pytest.raises(ValueError, match=r"chat\.rejection\.answers is \d+, too few for 16 prompts"):
        spending_of(RejectionSettings(**settings), prompts)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": "auto"}, "goes with answers"),
        ({"answers": 100}, "goes with answers"),
        (AUTO | {"temperatures": (1.0, 1.0)}, "at least two, which differ"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        RejectionSettings(**settings)


def test_the_temperature_of_the_best_expected_answer_is_chosen_and_of_equals_the_lowest():
    scores = {0.5: [[1, 1], [2, 2]], 1.0: [[0, 3], [0, 2]], 1.5: [[3, 0], [2, 0]]}
    chosen, tried = choose_temperature((1.5, 0.5, 1.0), lambda t: np.array(scores[t], float))
    assert chosen == 1.0
    assert [(row["temperature"], row["best"], row["median"]) for row in tried] == [
        (0.5, 1.5, 1.5), (1.0, 2.5, 1.25), (1.5, 2.5, 1.25),
    ]  # fmt: skip
    assert tried[1]["stderr"] == pytest.approx(0.5)  # of 3 and 2
