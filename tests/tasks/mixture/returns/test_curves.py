"""Gains by diminishing returns: by hand, their slopes, and the mean of the worst of them against a grid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tasks.mixture.returns.curves import FINEST, Curves, Gains, powered
from tasks.mixture.returns.lower_end import best_lower_end


def curves(num: int, d: int, num_tasks: int, alike: bool = False) -> Curves:
    random = np.random.default_rng(3)
    shape = (num, 1) if alike else (num, num_tasks)
    return Curves(
        reducible=random.normal(0.2, 0.3, (num, d, num_tasks)),
        exponent=random.uniform(0.1, 0.5, (num, num_tasks)),
        curvature=np.broadcast_to(random.uniform(0.4, 1.0, shape), (num, num_tasks)).copy(),
        floor=random.uniform(0.5, 1.0, (num, num_tasks)),
        worth=np.full(num_tasks, 1 / num_tasks),
    )


def test_losses_by_hand():
    # One draw, one task, a = .5, b = 1: losses 2 and 4 above E at the corners, so k = 1/4 and 1/16.
    one = Curves(
        np.log([[[2.0], [4.0]]]), np.array([[0.5]]), np.array([[1.0]]), np.array([[1.0]]), np.ones(1)
    )
    gains = Gains(one, np.array([0.5, 0.5]))
    base = (0.5 / 4 + 0.5 / 16) ** -0.5
    assert gains.at(np.array([1.0, 0.0]))[0] == pytest.approx([base - 2])
    assert gains.at(np.array([0.0, 1.0]))[0] == pytest.approx([base - 4])
    assert gains.reference_loss == pytest.approx(1 + base)
    assert one.usefulness[0, :, 0] == pytest.approx([1, 0.25])


def test_shares_to_a_power_run_from_0_to_1_and_start_with_a_finite_slope():
    value, slope = powered(np.array([0.0, 0.25, 1.0]), np.array(0.5))
    assert (value[0], value[2]) == (0.0, pytest.approx(1.0))
    assert value[1] == pytest.approx(0.5, abs=0.02)
    assert slope[0] == pytest.approx(0.5 * FINEST**-0.5, rel=0.05)
    np.testing.assert_allclose(powered(np.array([0.3]), np.array(1.0)), [[0.3], [1.0]], rtol=1e-12)


@pytest.mark.parametrize("alike", [True, False])
def test_slopes_are_those_of_the_gains(alike):
    reference = np.full(4, 0.25)
    gains, w = Gains(curves(5, 4, 3, alike), reference), np.array([0.1, 0.2, 0.3, 0.4])
    assert gains.at(reference)[0] == pytest.approx(np.zeros(5), abs=1e-14)
    step = 1e-6
    slopes = [(gains.at(w + step * e)[0] - gains.at(w - step * e)[0]) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(gains.at(w)[1], np.transpose(slopes), rtol=1e-6)


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_the_mean_of_the_worst_is_the_best_of_a_grid_and_the_gap_says_so(share):
    reference, upper = np.full(3, 1 / 3), np.array([0.8, 1.0, 0.5])
    gains = Gains(curves(40, 3, 2), reference)
    found = best_lower_end(gains, reference, upper, share)
    grid = [
        np.array([a, b, 100 - a - b]) / 100
        for a, b in itertools.product(range(101), repeat=2)
        if a + b <= 100 and a <= 80 and 100 - a - b <= 50
    ]
    count = max(1, round(40 * share))
    best = max(float(np.sort(gains.at(w)[0])[:count].mean()) for w in [*grid, reference])
    assert found.lowest == pytest.approx(float(np.sort(found.gains)[:count].mean()))
    assert found.lowest >= best - 1e-6
    assert best <= found.lowest + found.gap
    assert found.gap < 1e-3 * gains.scale
    assert found.w.sum() == pytest.approx(1)
    assert (found.w <= upper + 1e-12).all()


def test_where_draws_contradict_each_other_the_reference_stays():
    """Each source is the best in a third of the draws, and equally so: nothing beats equal shares in the worst."""
    reducible = np.log(np.array([np.roll([1.0, 2.0, 2.0], turn) for turn in range(3)]))[:, :, None]
    fair = Curves(reducible, np.full((3, 1), 0.3), np.full((3, 1), 0.7), np.zeros((3, 1)), np.ones(1))
    reference = np.full(3, 1 / 3)
    found = best_lower_end(Gains(fair, reference), reference, np.ones(3), share=1 / 3)
    np.testing.assert_allclose(found.w, reference, atol=1e-4)
    assert found.lowest == pytest.approx(0, abs=1e-5)
