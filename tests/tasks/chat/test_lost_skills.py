"""What was lost: paired over items, worked by hand; verdicts by the interval and the metric's direction."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.chat.lost_skills import (
    BETTER,
    UNKNOWN,
    WORSE,
    changes,
    forgetting_pairs,
    harm_pairs,
    said_of_losses,
    skills_of,
)
from tasks.report.differences import Score


def answers(*right, kind="colour"):
    return [{"kind": kind, "prompt": f"{kind} {n}", "points": 1, "right": r} for n, r in enumerate(right)]


def test_models_are_compared_with_the_base_and_with_what_they_came_from():
    names = ["base", "sft", "round1", "round2", "ghost"]
    assert harm_pairs(names) == [("base", "sft"), ("base", "round1"), ("base", "round2"), ("base", "ghost")]
    assert forgetting_pairs(names) == [("sft", "round1"), ("round1", "round2"), ("round2", "ghost")]


def test_a_change_is_paired_over_the_prompts_of_a_kind():
    """Differences -1, -1, 0, 0, 0 : mean -.4, variance .3, error sqrt(.3 / 5), times t of four degrees."""
    seed = {"base": skills_of(None, answers(1, 1, 1, 0, 1)), "sft": skills_of(None, answers(0, 0, 1, 0, 1))}
    (row,) = changes([seed], [("base", "sft")])
    assert (row["task"], row["metric"], row["n"]) == ("prompts: colour", "right", 5)
    assert (row["before"], row["after"], row["mean"]) == pytest.approx((0.8, 0.4, -0.4))
    assert row["high"] - row["mean"] == pytest.approx(2.776445 * (0.3 / 5) ** 0.5)
    assert row["verdict"] == UNKNOWN


def test_what_no_item_tells_apart_has_a_width_and_what_all_do_is_told():
    same = {name: skills_of(None, answers(1, 0, 1, 1)) for name in ("base", "sft")}
    (row,) = changes([same], [("base", "sft")])
    assert row["mean"] == 0 and row["low"] < 0 < row["high"]
    lost = {"base": skills_of(None, answers(*[1] * 20)), "sft": skills_of(None, answers(*[0] * 20))}
    (row,) = changes([lost], [("base", "sft")])
    assert row["mean"] == -1 and row["verdict"] == WORSE


def test_over_several_seeds_the_interval_is_theirs_and_prompts_without_an_answer_count_for_none():
    seeds = [
        {"base": skills_of(None, answers(1, 1, 1, 1)), "sft": skills_of(None, answers(*right))}
        for right in ((0, 0, 1, 1), (0, 0, 0, 1), (0, 1, 1, 1))
    ]
    (row,) = changes(seeds, [("base", "sft")])  # changes -.5, -.75, -.25
    assert row["mean"] == pytest.approx(-0.5)
    assert row["high"] - row["mean"] == pytest.approx(4.30265 * 0.25 / 3**0.5, rel=1e-4)
    assert skills_of(None, [answers(0)[0] | {"points": None}]) == {}


@pytest.mark.parametrize(("metric", "verdict"), [("acc", BETTER), ("bits_per_byte", WORSE)])
def test_more_is_worse_of_bits_per_byte(metric, verdict):
    def score(value):
        return Score(value, 0.01, 4, tuple("abcd"), np.array([0.01, -0.01, 0.02, -0.02]) * value)

    seed = {"sft": {("a", metric): score(1.0)}, "round1": {("a", metric): score(1.5)}}
    (row,) = changes([seed], [("sft", "round1")])
    assert row["verdict"] == verdict
    (said,) = said_of_losses([], [row])
    assert ("round1 is worse than what it was trained from (sft)" in said) == (verdict == WORSE)
    assert "of 1 comparisons" in said
