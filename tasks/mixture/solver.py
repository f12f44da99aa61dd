"""Solves the portfolio problem of UtiliMax (Held et al. 2025, arXiv 2501.11747) to a certified gap.

    minimise   P(w) = || 1 - U'w ||_2 + risk * || w ||_2^2     over  0 <= w <= upper,  sum(w) = 1

U (d, T). Its dual, from ||r|| = max of v'r over ||v|| <= 1 and from exchanging the two optima, is

    maximise   D(v) = sum(v) + min_w [ risk * ||w||^2 - (Uv)'w ]     over  ||v||_2 <= 1,

whose inner minimum is a projection of Uv / (2 risk) on the capped simplex. P(w) - D(v) >= 0 bounds the
distance of any pair from the optimum, however it was found: by Newton's method on the dual, and where that
leaves a gap (no risk, an ideal mixture within reach) by a primal-dual interior point method, whose step costs
O(d T^2 + T^3) and of which some 5 to 30 are needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from tasks.mixture.capped_simplex import Array, best_linear, project, settle
from tasks.mixture.dual_newton import maximise
from tasks.mixture.interior_point import central_start, newton_step, smoothed_direction

RELATIVE_GAP = 1e-10
ROUNDING = 1e-13
ENOUGH, CLOSED = 1e-14, 1e-12
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


def solve(utility: Array, upper: Array, risk: float) -> Solution:
    """The best mixture for utility (d, T) under upper bounds (d,), with sum(upper) >= 1 and risk >= 0.

    Raises RuntimeError, stating the gap, where it stays above 1e-10 of the objective (plus rounding).
    """
    d, num_tasks = utility.shape
    upper = np.minimum(upper, 1.0)
    assert upper.min() >= 0 and upper.sum() >= 1 - 1e-9, "no mixture fits the bounds"
    kept = np.flatnonzero(upper > 0)
    kept = kept[_order_by_value(utility, upper, kept)]
    inner = _Search(utility[kept], upper[kept], risk)
    with _threads().limit(limits=1, user_api="blas"):  # T x T systems wait for threads longer than they take
        if upper.sum() <= 1 + 1e-12 or len(kept) == 1:
            inner.consider(upper[kept] / upper[kept].sum(), np.zeros(num_tasks))
            steps = 0
        else:
            steps = inner.run()
    if not inner.gap <= RELATIVE_GAP * inner.objective + ROUNDING * math.sqrt(num_tasks):
        raise RuntimeError(
            f"the mixture solver stopped at a duality gap of {inner.gap:.3g} for an objective of "
            f"{inner.objective:.6g} ({d} sources, {num_tasks} tasks, risk {risk:g}); "
            f"{RELATIVE_GAP:g} of it is wanted"
        )
    w = np.zeros(d)
    w[kept] = inner.w
    norm = float(np.linalg.norm(1 - inner.w @ inner.utility))
    return Solution(w, inner.v, inner.objective, norm, inner.gap, steps)


def _order_by_value(utility: Array, upper: Array, kept: NDArray[np.intp]) -> NDArray[np.intp]:
    """An order of the kept sources by their numbers alone, so that neither names nor positions move a weight.

    By the first columns that tell all sources apart; sources that are alike in all may stand in any order.
    """
    num_columns = 1
    while True:
        keys = [upper[kept], *utility[kept, :num_columns].T]
        order = np.lexsort(keys[::-1])
        alike = np.ones(len(kept) - 1, bool)
        for key in keys:
            alike &= key[order][1:] == key[order][:-1]
        if num_columns >= utility.shape[1] or not alike.any():
            return order
        num_columns *= 4


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


class _Search:
    """The best weights and the best bound seen so far, with its directions v."""

    def __init__(self, utility: Array, upper: Array, risk: float) -> None:
        self.utility, self.upper, self.risk = utility, upper, risk
        self.w = project(np.zeros(len(upper)), upper)
        self.v = np.zeros(utility.shape[1])
        self.objective, self.bound = math.inf, -math.inf

    @property
    def gap(self) -> float:
        return max(self.objective - self.bound, 0.0)

    def run(self) -> int:
        """Newton on the dual, and the interior point method where that does not close the gap; the steps of both."""
        steps = 0
        if self.risk > 0:
            found, steps = maximise(self.utility, self.upper, self.risk, ENOUGH)
            self.v, self.bound = found.v, found.bound
            self._weights(settle(found.w, self.upper))
            if self.gap <= CLOSED * self.objective:
                return steps
        return steps + self._interior()

    def _interior(self) -> int:
        """Steps until the gap is rounding, or no longer falls."""
        rounding = 1e-15 * math.sqrt(self.utility.shape[1])
        state = central_start(self.utility, self.upper, self.risk)
        smallest, stalled = math.inf, 0
        for step in range(1, MAX_STEPS + 1):
            try:
                state = newton_step(self.utility, self.risk, state)
            except np.linalg.LinAlgError:
                return step  # Too close to the boundary for another step: the gap decides.
            self.consider(state.snapped(self.upper), smoothed_direction(1 - state.w @ self.utility, state.mu))
            stalled = 0 if self.gap < 0.5 * smallest else stalled + 1
            smallest = min(self.gap, smallest)
            if self.gap <= rounding or (stalled >= STALLED and state.mu < LAST_DIGITS):
                return step
        return MAX_STEPS

    def consider(self, w: Array, v: Array) -> None:
        """Takes weights w (d,), directions v and 1 - U'w, and the weights that answer them, if better."""
        w = project(w, self.upper) if abs(w.sum() - 1) > 1e-9 else settle(w, self.upper)
        self._weights(w)
        rest = 1 - w @ self.utility
        for direction in (v, rest / max(float(np.linalg.norm(rest)), 1e-300)):
            direction = direction / max(float(np.linalg.norm(direction)), 1.0)
            gain = self.utility @ direction
            if self.risk > 0:
                answer = project(gain / (2 * self.risk), self.upper)
                self._weights(answer)
            else:
                answer = best_linear(gain, self.upper)
            bound = float(direction.sum() + self.risk * (answer @ answer) - gain @ answer)
            if bound > self.bound:
                self.v, self.bound = direction, bound

    def _weights(self, w: Array) -> None:
        objective = float(np.linalg.norm(1 - w @ self.utility) + self.risk * (w @ w))
        if objective < self.objective:
            self.w, self.objective = w, objective
