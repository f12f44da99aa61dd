"""Win rates and intervals over seeds, worked by hand."""

from __future__ import annotations

import pytest

from tasks.chat.chat_results import win_rate
from tasks.chat.over_seeds import over_seeds


def test_a_tie_counts_half():
    told = win_rate([0, 4, 2, 1], [3, 4, 1, 2])
    assert (told["rate"], told["ties"]) == (0.625, 0.25)
    # of 1, 1/2, 0, 1: variance 0.6875/3, over 4
    assert told["stderr"] == pytest.approx((0.6875 / 3 / 4) ** 0.5)


def test_the_interval_is_over_seeds_where_there_are_several():
    told = over_seeds([0.6, 0.7, 0.8], (0.0, 1.0))
    assert told["mean"] == pytest.approx(0.7)
    assert told["high"] - told["mean"] == pytest.approx(4.30265 * 0.1 / 3**0.5, rel=1e-4)
    assert over_seeds([0.6], (0.5, 0.7)) == {"mean": 0.6, "low": 0.5, "high": 0.7}
