"""Solves the portfolio problem of UtiliMax (Held et al. 2025, arXiv 2501.11747) to a certified gap.

    minimise   P(w) = || b - U'w ||_2 + sum_i risk_i w_i^2 - c'w     over  0 <= w <= upper,  sum(w) = 1

P(w) less the bound D(v) of any directions v is at least the distance from the optimum, however w and v were
found (see `problem`): at small risks by an active set method from a rough solution at a larger risk; by Newton's
method on the dual; and where these leave a gap (an ideal mixture within reach) by a primal-dual interior point
method, whose step costs O(d T^2 + T^3) and of which some 5 to 30 are needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from tasks.mixture.solver.active_set import pivoted
from tasks.mixture.solver.capped_simplex import Array, project, settle
from tasks.mixture.solver.dual_newton import ROUGHLY, maximise
from tasks.mixture.solver.interior_point import central_start, newton_step, smoothed_direction
from tasks.mixture.solver.problem import Problem

RELATIVE_GAP = 1e-10
ROUNDING = 1e-13
ENOUGH, CLOSED = 1e-14, 1e-12
ROUGH_RISK, LEAST_RISK = 0.25, 1e-12
MAX_STEPS = 100
STALLED = 4
LAST_DIGITS = 1e-24


@dataclass(frozen=True)
class Solution:
    """Weights w (d,) and directions v (T,) of the dual, the objective P(w), the norm in it, and P(w) - D(v)."""

    w: Array
    v: Array
    objective: float
    norm: float
    gap: float
    steps: int


def solve(
    utility: Array,
    upper: Array,
    risk: float | Array,
    target: Array | None = None,
    linear: Array | None = None,
) -> Solution:
    """The best mixture for utility (d, T) under upper bounds (d,), with sum(upper) >= 1 and risk >= 0.

    risk: one for all sources, or (d,), all above 0. target b (T,) is 1 and linear c (d,) is 0 unless given.
    Raises RuntimeError, stating the gap, where it stays above 1e-10 of the objective (plus rounding).
    """
    found = nearest(utility, upper, risk, target, linear)
    d, num_tasks = utility.shape
    if not found.gap <= RELATIVE_GAP * abs(found.objective) + ROUNDING * math.sqrt(num_tasks):
        raise RuntimeError(
            f"the mixture solver stopped at a duality gap of {found.gap:.3g} for an objective of "
            f"{found.objective:.6g} ({d} sources, {num_tasks} tasks, risk {np.mean(risk):g}); "
            f"{RELATIVE_GAP:g} of it is wanted"
        )
    return found


def nearest(
    utility: Array,
    upper: Array,
    risk: float | Array,
    target: Array | None = None,
    linear: Array | None = None,
) -> Solution:
    """As `solve`, but whatever the gap that is left."""
    problem = Problem.of(utility, upper, risk, target, linear)
    d, num_tasks = utility.shape
    assert problem.upper.min() >= 0 and problem.upper.sum() >= 1 - 1e-9, "no mixture fits the bounds"
    kept = np.flatnonzero(problem.upper > 0)
    kept = kept[_order_by_value(problem, kept)]
    inner = _Search(problem.of_sources(kept))
    with _threads().limit(limits=1, user_api="blas"):  # T x T systems wait for threads longer than they take
        if problem.upper.sum() <= 1 + 1e-12 or len(kept) == 1:
            inner.consider(problem.upper[kept] / problem.upper[kept].sum(), np.zeros(num_tasks))
            steps = 0
        else:
            steps = inner.run()
    w = np.zeros(d)
    w[kept] = inner.w
    norm = float(np.linalg.norm(inner.problem.rest(inner.w)))
    return Solution(w, inner.v, inner.objective, norm, inner.gap, steps)


def _order_by_value(problem: Problem, kept: NDArray[np.intp]) -> NDArray[np.intp]:
    """An order of the kept sources by their numbers alone, so that neither names nor positions move a weight.

    By the first columns that tell all sources apart; sources that are alike in all may stand in any order.
    """
    num_tasks, num_columns = problem.utility.shape[1], 1
    while True:
        keys = [column[kept] for column in (problem.upper, problem.risk, problem.linear)]
        keys += list(problem.utility[kept, :num_columns].T)
        order = np.lexsort(keys[::-1])
        alike = np.ones(len(kept) - 1, bool)
        for key in keys:
            alike &= key[order][1:] == key[order][:-1]
        if num_columns >= num_tasks or not alike.any():
            return order
        num_columns *= 4


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


class _Search:
    """The best weights and the best bound seen so far, with its directions v."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.w = problem.upper / problem.upper.sum()
        self.v = np.zeros(len(problem.target))
        self.objective, self.bound = math.inf, -math.inf

    @property
    def gap(self) -> float:
        return max(self.objective - self.bound, 0.0)

    def run(self) -> int:
        """One method after the other until the gap is closed; the steps of all."""
        steps, risk = 0, self.problem.risk
        if risk.mean() < ROUGH_RISK:
            steps = self._active_set()
            if self.gap <= CLOSED * abs(self.objective):
                return steps
        if risk[0] > 0:
            found, more = maximise(self.problem, ENOUGH)
            steps += more
            if found.bound > self.bound:
                self.v, self.bound = found.v, found.bound
            self._weights(settle(found.w, self.problem.upper))
            if self.gap <= CLOSED * abs(self.objective):
                return steps
        steps += self._interior()
        if risk[0] == 0 and self.gap > CLOSED * abs(self.objective):
            steps += self._active_set(LEAST_RISK)
        return steps

    def _active_set(self, least: float = 0.0) -> int:
        """Pivots from the rough solution at a larger risk, whose active set is nearly that of all smaller ones.

        least: the risk in the pivots where the problem has none. It raises no objective by more, and where many
        mixtures are optimal it leaves one, where the equations without it are singular.
        """
        risk = self.problem.risk
        larger = risk * (ROUGH_RISK / risk.mean()) if risk[0] > 0 else np.full(len(risk), ROUGH_RISK)
        near, steps = maximise(self.problem.with_risk(larger), ROUGHLY)
        w, pivots = pivoted(self.problem.with_risk(np.maximum(risk, least)), near.w)
        self.consider(w)
        return steps + pivots

    def _interior(self) -> int:
        """Steps until the gap is rounding, or no longer falls."""
        rounding = 1e-15 * math.sqrt(len(self.problem.target))
        self.consider(self.w, np.zeros(len(self.problem.target)))
        if self.gap <= rounding:
            return 0
        state = central_start(self.problem)
        smallest, stalled = math.inf, 0
        for step in range(1, MAX_STEPS + 1):
            try:
                state = newton_step(self.problem, state)
            except np.linalg.LinAlgError:
                return step  # Too close to the boundary for another step: the gap decides.
            self.consider(
                state.snapped(self.problem.upper),
                smoothed_direction(self.problem.rest(state.w), state.mu),
            )
            stalled = 0 if self.gap < 0.5 * smallest else stalled + 1
            smallest = min(self.gap, smallest)
            if self.gap <= rounding or (stalled >= STALLED and state.mu < LAST_DIGITS):
                return step
        return MAX_STEPS

    def consider(self, w: Array, *directions: Array) -> None:
        """Takes weights w (d,), the directions and those of the rest, and the weights that answer them, if better."""
        upper = self.problem.upper
        w = project(w, upper) if abs(w.sum() - 1) > 1e-9 else settle(w, upper)
        self._weights(w)
        rest = self.problem.rest(w)
        for direction in (*directions, rest / max(float(np.linalg.norm(rest)), 1e-300)):
            direction = direction / max(float(np.linalg.norm(direction)), 1.0)
            bound, answering = self.problem.bound(direction)
            self._weights(answering)
            if bound > self.bound:
                self.v, self.bound = direction, bound

    def _weights(self, w: Array) -> None:
        objective = self.problem.objective(w)
        if objective < self.objective:
            self.w, self.objective = w, objective
