"""The solver's stages, each alone: pivots of the active set by hand and at random, no risk, an attainable target."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.mixture.solver.active_set import pivoted
from tasks.mixture.solver.capped_simplex import fill, project
from tasks.mixture.solver.problem import Problem
from tasks.mixture.solver.soft_epochs import Repetition, solve_soft
from tasks.mixture.solver.solving import solve


@pytest.mark.parametrize(
    ("upper", "optimum"),
    [
        # One task, so v = 1 and u_i - 2 risk w_i is the same for all: .8 - 4 a = .4 - 4 b = .7 - 4 c.
        ([1.0, 1.0, 1.0], [0.375, 0.275, 0.35]),
        # With a at its bound, .4 - 4 b = .7 - 4 (.7 - b).
        ([0.3, 1.0, 1.0], [0.3, 0.3125, 0.3875]),
    ],
)
@pytest.mark.parametrize("start", [[0.25, 0.45, 0.3], [0.2, 0.8, 0.0], [0.0, 0.4, 0.6]])
def test_pivots_free_and_stop_sources_as_by_hand(start, upper, optimum):
    problem = Problem.of(np.array([[0.8], [0.4], [0.7]]), np.array(upper), 2.0)
    w, pivots = pivoted(problem, np.array(start))
    np.testing.assert_allclose(w, optimum, atol=1e-15)
    assert pivots <= 6


@pytest.mark.parametrize("seed", range(60))
def test_pivots_leave_a_mixture_that_is_no_worse(seed):
    generator = np.random.default_rng(seed)
    d, num_tasks = int(generator.integers(2, 40)), int(generator.integers(1, 20))
    utility = generator.random((d, num_tasks)).round(1)[generator.integers(0, d, d)]  # some sources alike
    upper = np.full(d, 1.0) if seed % 3 else np.full(d, min(2.0 / d, 1.0))
    problem = Problem.of(utility, upper, float(10.0 ** generator.uniform(-6, 1)) if seed % 4 else 0.0)
    start = project(generator.random(d), upper)
    w, _ = pivoted(problem, start)
    assert problem.objective(w) <= problem.objective(start) + 1e-14
    assert w.min() >= 0
    assert (w <= upper).all()
    assert w.sum() == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize("risk", [0.1, 0.01, 1e-4, 0.0])
def test_pivots_alone_solve_small_risks(risk, monkeypatch):
    generator = np.random.default_rng(1)
    utility = generator.random((1000, 50))
    upper = np.minimum(generator.lognormal(size=1000) * 4 / 1000, 1)
    monkeypatch.setattr("tasks.mixture.solver.solving.newton_step", None)  # calling it would fail
    found = solve(utility, upper, risk)
    assert found.gap <= 1e-12 * found.objective
    assert found.steps <= 40


@pytest.mark.parametrize("seed", range(8))
def test_without_a_risk_a_target_within_reach_is_reached(seed):
    generator = np.random.default_rng(seed)
    d, num_tasks = int(generator.integers(20, 100)), int(generator.integers(2, 20))
    utility = generator.random((d, num_tasks))
    target = generator.dirichlet(np.ones(d)) @ utility
    found = solve(utility, np.ones(d), 0.0, target)
    assert found.norm <= 1e-13
    assert found.gap <= 1e-13


@pytest.mark.parametrize("seed", range(30))
def test_without_a_risk_one_of_many_best_mixtures_is_found(seed):
    generator = np.random.default_rng(seed)
    utility = np.round(generator.random((10, 5)))
    found = solve(utility, np.minimum(generator.dirichlet(np.full(10, 0.5)) * 4, 1) + 1e-3, 0.0)
    assert found.gap <= 1e-10 * found.objective


@pytest.mark.parametrize(("seed", "risk"), [(4, 1e-2), (10, 1e-2)])
def test_soft_epochs_are_solved_where_little_but_the_risk_is_left(seed, risk):
    generator = np.random.default_rng(seed)
    d, num_tasks = int(generator.integers(1, 12)), int(generator.integers(1, 6))
    share = 10.0 ** generator.uniform(-4, 1, d)
    found = solve_soft(np.ones((d, num_tasks)), np.full(d, risk), Repetition(share))
    assert found.gap <= 1e-13
    assert found.norm + risk * found.w @ found.w == pytest.approx(found.objective)


@pytest.mark.filterwarnings("error")
def test_a_weight_next_to_nothing_is_filled_without_a_warning():
    w = fill(np.array([1e-310, 0.9, 0.1]), np.array([0.5, 0.6, 0.5]))
    np.testing.assert_allclose(w, [0.0, 0.6, 0.4], atol=1e-12)


def test_bounds_that_sum_to_one_but_for_rounding_are_filled():
    generator = np.random.default_rng(0)
    for _ in range(3_000):
        upper = generator.dirichlet(np.full(9, 0.5))
        upper /= upper.sum()
        np.testing.assert_allclose(fill(generator.dirichlet(np.full(9, 0.5)), upper), upper, atol=1e-12)
