"""A mix has its shares at every length, goes on from any place, and shows all of a task before any of it again."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.instructions.exact_order import ExactOrder

WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.2, "never": 0.0}
SIZES = {"a": 7, "b": 100, "c": 3, "never": 0}


def test_the_first_ten_by_hand():
    """Slack 1/4. Place 1: a and b have .5 and .3 to have, due at 1.5 and 2.5; place 2: b and c, at 2.5 and 3.75; ..."""
    order = ExactOrder(WEIGHTS, SIZES, 0)
    assert [order.at(k)[0] for k in range(10)] == ["a", "b", "a", "c", "a", "b", "a", "c", "b", "a"]


@example([0.5, 0.5, 0.5, 0.5, 0.5, 0.890625], 948)  # where rounding w_i t to the nearest is 1.014 off
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=12), st.integers(0, 1000))
def test_no_task_is_more_than_one_from_its_share(weights, length):
    shares = {str(i): w / sum(weights) for i, w in enumerate(weights)}
    counts = ExactOrder(shares, dict.fromkeys(shares, 5), 0).counts(length)
    assert sum(counts.values()) == length
    most = 1 - 1 / max(2, 2 * len(weights) - 2)
    assert all(abs(counts[name] - share * length) <= most + 1e-6 for name, share in shares.items())


def test_a_place_needs_nothing_but_itself():
    whole, again = (ExactOrder(WEIGHTS, SIZES, 3) for _ in range(2))
    places = [whole.at(k) for k in range(200)]
    assert [again.at(k) for k in range(199, 99, -1)] == places[199:99:-1]
    assert (
        Counter(task for task, _, _ in places) == Counter(whole.counts(200)) == {"a": 100, "b": 60, "c": 40}
    )


def test_a_pass_shows_each_example_once_in_an_order_of_its_own():
    order = ExactOrder({"a": 1.0}, {"a": 50}, 0)
    passes = [[order.at(k)[1] for k in range(start, start + 50)] for start in (0, 50)]
    assert [sorted(one) for one in passes] == [list(range(50))] * 2
    assert passes[0] != passes[1]


def test_a_weight_without_an_example_is_refused():
    with pytest.raises(ValueError, match="never: has a weight and no example"):
        ExactOrder({"never": 1.0}, SIZES, 0)
