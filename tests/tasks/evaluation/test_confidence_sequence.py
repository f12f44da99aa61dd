"""Intervals that are looked at again and again: against the formulas by loops, all orders of a few items, chance."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from tasks.evaluation.confidence_sequence import MARGINS, running_difference, running_interval

ITEMS = [1.0, 0.0, 1.0, 1.0, 0.25, 0.0, 1.0] * 5


def fortunes(
    values: list[float], m: float, population: int | None, margins: tuple[float, ...], sign: int
) -> float:
    """The most that betting for (sign 1) or against (-1) a mean above m ever came to, item by item."""
    most, each = 0.0, [1.0] * len(margins)
    for i in range(1, len(values) + 1):
        before = values[: i - 1]
        means = [(0.5 + sum(values[:k])) / (k + 1) for k in range(1, i)]
        variance = (0.25 + sum((x - mean) ** 2 for x, mean in zip(before, means, strict=True))) / i
        left = math.inf if population is None else population - i + 1
        m_i = m if population is None else (population * m - sum(before)) / left
        pull = 1 if population is None else population / left
        room = m_i if sign > 0 else 1 - m_i
        for g, margin in enumerate(margins):
            bet = margin * pull / variance
            bet = min(bet, 0.75 / room) if room > 0 else bet
            each[g] *= 1 + sign * bet * (values[i - 1] - m_i)
        most = max(most, sum(each) / len(each))
    return most


@pytest.mark.parametrize("population", [None, 45])
@pytest.mark.parametrize("margins", [(0.1,), MARGINS])
def test_the_ends_are_where_the_formulas_put_them(population, margins) -> None:
    low, high = running_interval(ITEMS, 0.6, population, margins)
    if population is not None:  # narrower than what is certain
        assert sum(ITEMS) / 45 + 1e-3 < low < high < (sum(ITEMS) + 45 - len(ITEMS)) / 45 - 1e-3
    for end, sign in ((low, 1), (high, -1)):
        assert fortunes(ITEMS, end - sign * 1e-4, population, margins, sign) >= 2 / 0.4
        assert fortunes(ITEMS, end + sign * 1e-4, population, margins, sign) < 2 / 0.4


def test_of_all_orders_of_a_few_items_no_more_miss_than_may() -> None:
    """Every order, each as likely as any other, at every look: the chance of a miss is counted, not estimated."""
    confidence, items = 0.6, [1.0, 1.0, 0.0, 0.0, 0.0, 0.5, 1.0]
    truth, missed, orders = sum(items) / len(items), 0, set(itertools.permutations(items))
    for order in orders:
        looks = (
            running_interval(order[:n], confidence, len(items), (0.3,)) for n in range(1, len(items) + 1)
        )
        missed += any(not low - 1e-9 <= truth <= high + 1e-9 for low, high in looks)
    assert 0 < missed / len(orders) <= 1 - confidence


@pytest.mark.parametrize("population", [300, None])
@pytest.mark.parametrize("share", [0.5, 0.05])
def test_coverage_with_a_look_after_every_batch(population, share) -> None:
    """200 simulated benchmarks: misses at any look, within what chance allows of 10%."""
    generator = np.random.default_rng(5)
    runs, missed, naive = 200, 0, 0
    for _ in range(runs):
        if population is None:
            values, truth = (generator.random(300) < share).astype(float), share
        else:
            values = generator.permutation((np.arange(population) < share * population).astype(float))
            truth = values.mean()
        looks = [values[:n] for n in range(50, 300, 50)]
        missed += any(
            not low <= truth <= high for low, high in (running_interval(x, 0.9, population) for x in looks)
        )
        halves = [1.645 * x.std() / math.sqrt(len(x)) for x in looks]
        naive += any(abs(x.mean() - truth) > half for x, half in zip(looks, halves, strict=True))
    allowed = 0.1 * runs + 2.33 * math.sqrt(runs * 0.1 * 0.9)  # 99% of a binomial
    assert missed <= allowed
    if population is None:
        assert naive > allowed  # what the usual interval does when it is looked at again and again


def test_coverage_of_paired_differences() -> None:
    generator = np.random.default_rng(6)
    runs, wrong = 200, 0
    for _ in range(runs):
        first = (generator.random(200) < 0.4).astype(float)
        second = generator.permutation(first)  # alike as a whole, item by item not
        ends = (running_difference(first[:n], second[:n], 0.9, 200) for n in range(40, 200, 40))
        wrong += any(low > 0 or high < 0 for low, high in ends)
    assert wrong <= 0.1 * runs + 2.33 * math.sqrt(runs * 0.1 * 0.9)


def test_all_items_seen_leave_a_point_and_each_look_is_no_wider() -> None:
    values = (np.random.default_rng(0).random(120) < 0.3).astype(float)
    ends = [running_interval(values[:n], 0.95, 120) for n in range(0, 121, 10)]
    assert ends[0] == (0, 1) and ends[-1] == (values.mean(), values.mean())
    for (low, high), (later_low, later_high) in itertools.pairwise(ends):
        assert low - 1e-5 <= later_low <= later_high <= high + 1e-5
    low, high = running_difference(values[:60], 1 - values[:60], 0.95, 120)
    opposite = running_difference(1 - values[:60], values[:60], 0.95, 120)
    assert (low, high) == pytest.approx((-opposite[1], -opposite[0]), abs=1e-4)


def test_what_is_not_bounded_or_seen_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        running_interval([0.5, 1.5])
    with pytest.raises(ValueError, match="3 values of 2 items"):
        running_interval([0, 1, 1], population=2)
