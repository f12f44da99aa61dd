"""The best of many, with values counted by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from tasks.chat.drawn_share import drawn_share
from tasks.chat.rejection.best_of_many import best_against_median, ledger, pooled_best
from tasks.chat.reward.piecewise import Judged


def test_the_expected_best_is_the_mean_over_all_choices():
    scores = np.array([[3.0, 1.0, 2.0, 7.0], [0.0, 0.0, 5.0, 1.0]])
    for row in best_against_median(scores):
        every = [np.mean([max(chosen) for chosen in itertools.combinations(own, row["n"])]) for own in scores]
        assert row["best"] == pytest.approx(np.mean(every))
        assert row["median"] == pytest.approx((2.5 + 0.5) / 2)


def test_the_pool_holds_each_prompts_best_of_all_rounds():
    first = ledger(1, ["a", "b"], [["a1", "a2"], ["b1", ""]], Judged(np.array([[1.0, 3.0], [2.0, 9.0]])), 1.2)
    second = ledger(
        2, ["a", "b"], [["a3", "a4"], ["b2", "b3"]], Judged(np.array([[3.0, 0.0], [1.0, 4.0]])), 1.2
    )
    assert first[first["chosen"]]["answer"].tolist() == ["a2", ""]
    best = pooled_best([first, second])
    assert best[["prompt", "answer", "round"]].values.tolist() == [["a", "a2", 1], ["b", "b3", 2]]
    assert pooled_best([first])["answer"].tolist() == ["a2", "b1"]
    assert isinstance(best, pd.DataFrame)


def test_what_was_learnt_before_is_replayed_in_the_share_asked_for():
    dialogues = list(range(20))
    for share, count in ((0.0, 0), (0.2, 2), (0.5, 8), (0.75, 20)):
        assert len(drawn_share(dialogues, 8, share, 0, "replay 1")) == count
    half = drawn_share(dialogues, 8, 0.5, 0, "replay 1")
    assert half == sorted(set(half))
    assert half == drawn_share(dialogues, 8, 0.5, 0, "replay 1")
    assert half != drawn_share(dialogues, 8, 0.5, 0, "replay 2")
