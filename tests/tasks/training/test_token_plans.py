"""Whole tokens and limits as arrays give them, against the same a source at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.training.token_plans import capacity, whole_tokens


def one_at_a_time(weights: dict[str, float], budget: int, limit: dict[str, int]) -> dict[str, int]:
    """By largest remainder, then names; what is at its limit gives to those that are not."""
    wanted = {name: weight * budget for name, weight in weights.items()}
    plan = {name: min(math.floor(n), limit[name]) for name, n in wanted.items()}
    order = sorted(plan, key=lambda name: (plan[name] - wanted[name], name))
    left = budget - sum(plan.values())
    while left > 0:
        room = [name for name in order if plan[name] < limit[name]]
        served = [name for name in room if weights[name] > 0] or room
        share = max(left // len(served), 1)
        for name in served[:left]:
            given = min(share, limit[name] - plan[name], left)
            plan[name] += given
            left -= given
    for name in reversed(order):
        taken = max(min(plan[name], -left), 0)
        plan[name] -= taken
        left += taken
    return plan


@pytest.mark.parametrize("budget", [1, 3, 100, 10**6, 10**13])
def test_plans_are_those_made_one_source_at_a_time(budget):
    generator = np.random.default_rng(budget)
    for _ in range(200):
        names = [f"s{number}" for number in generator.permutation(generator.integers(1, 9))]
        shares = generator.dirichlet(np.full(len(names), generator.choice([0.1, 1, 10])))
        if generator.random() < 0.3:  # equal remainders, and sources without weight
            shares = np.round(shares * 4) / 4
            shares = shares / shares.sum() if shares.sum() else np.full(len(names), 1 / len(names))
        weights = dict(zip(names, shares.tolist(), strict=True))
        limit = {name: int(generator.integers(budget // len(names) + 1, 2 * budget + 1)) for name in names}
        plan = whole_tokens(weights, budget, limit)
        assert plan == one_at_a_time(weights, budget, limit)
        assert sum(plan.values()) == budget
        assert all(type(tokens) is int for tokens in plan.values())


def test_what_a_source_can_give_is_whole_and_less_what_was_used():
    tokens = {"a": 1_000, "b": 7, "c": 10**14}
    # floor(1.5 * 1000) - ceil(200.5) = 1299; floor(10.5) - 0 = 10; the budget
    assert capacity(tokens, 5_000, 1.5, {"a": 200.5}) == {"a": 1_299, "b": 10, "c": 5_000}
    assert capacity(tokens, 5_000, math.inf) == dict.fromkeys(tokens, 5_000)


def test_a_cap_that_allows_more_tokens_than_64_bits_count_is_none_at_all():
    assert capacity({"a": 159 * 10**9, "b": 3}, 25 * 10**9, 1e9) == {"a": 25 * 10**9, "b": 3 * 10**9}
