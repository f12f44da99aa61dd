"""Solves the portfolio problem of UtiliMax (Held et al. 2025, arXiv 2501.11747) to a certified gap.

    minimise   P(w) = || 1 - U'w ||_2 + risk * || w ||_2^2     over  0 <= w <= upper,  sum(w) = 1

U (d, T). Its dual, from ||r|| = max of v'r over ||v|| <= 1 and from exchanging the two optima, is

    maximise   D(v) = sum(v) + min_w [ risk * ||w||^2 - (Uv)'w ]     over  ||v||_2 <= 1,

whose inner minimum is a projection of Uv / (2 risk) on the capped simplex. P(w) - D(v) >= 0 bounds the
distance of any pair from the optimum, however it was found; here by a primal-dual interior point method.
A step costs O(d T^2 + T^3) and some 5 to 30 of them are needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tasks.mixture.capped_simplex import Array, best_linear, project, settle
from tasks.mixture.interior_point import central_start, newton_step, smoothed_direction

RELATIVE_GAP = 1e-10
ROUNDING = 1e-13
MAX_STEPS = 100
STALLED = 4
LAST_DIGITS = 1e-24


@dataclass(frozen=True)
class Solution:
    """Weights w (d,) with their objective P(w), the norm in it, and the gap to the best dual bound."""

    w: Array
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
    # An order that depends on the numbers alone, so that neither names nor positions move a weight.
    keys = np.column_stack([utility[kept], upper[kept]])
    kept = kept[np.lexsort(keys.T[::-1])]
    inner = _Search(utility[kept], upper[kept], risk)
    if upper.sum() <= 1 + 1e-12 or len(kept) == 1:
        inner.consider(upper[kept] / upper[kept].sum(), np.zeros(num_tasks))
        steps = 0
    else:
        steps = inner.run()
    gap = max(inner.objective - inner.bound, 0.0)
    if not gap <= RELATIVE_GAP * inner.objective + ROUNDING * math.sqrt(num_tasks):
        raise RuntimeError(
            f"the mixture solver stopped at a duality gap of {gap:.3g} for an objective of "
            f"{inner.objective:.6g} ({d} sources, {num_tasks} tasks, risk {risk:g}); "
            f"{RELATIVE_GAP:g} of it is wanted"
        )
    w = np.zeros(d)
    w[kept] = inner.w
    norm = float(np.linalg.norm(1 - inner.w @ inner.utility))
    return Solution(w, inner.objective, norm, gap, steps)


class _Search:
    """The best weights and the best bound seen so far."""

    def __init__(self, utility: Array, upper: Array, risk: float) -> None:
        self.utility, self.upper, self.risk = utility, upper, risk
        self.w = project(np.zeros(len(upper)), upper)
        self.objective, self.bound = math.inf, -math.inf

    def run(self) -> int:
        """Steps until the gap is rounding, or no longer falls."""
        rounding = 1e-15 * math.sqrt(self.utility.shape[1])
        state = central_start(self.utility, self.upper, self.risk)
        smallest, stalled = math.inf, 0
        for step in range(1, MAX_STEPS + 1):
            try:
                state = newton_step(self.utility, self.risk, state)
            except np.linalg.LinAlgError:
                return (
                    step  # Too close to the boundary for another step: the gap decides whether it suffices.
                )
            self.consider(state.snapped(self.upper), smoothed_direction(1 - state.w @ self.utility, state.mu))
            gap = self.objective - self.bound
            stalled = 0 if gap < 0.5 * smallest else stalled + 1
            smallest = min(gap, smallest)
            if gap <= rounding or (stalled >= STALLED and state.mu < LAST_DIGITS):
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
            bound = direction.sum() + self.risk * (answer @ answer) - gain @ answer
            self.bound = max(self.bound, float(bound))

    def _weights(self, w: Array) -> None:
        objective = float(np.linalg.norm(1 - w @ self.utility) + self.risk * (w @ w))
        if objective < self.objective:
            self.w, self.objective = w, objective
