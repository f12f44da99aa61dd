"""Diminishing return of repetition instead of a hard epoch cap (Muennighoff et al. 2023, arXiv 2305.16264, eq. 5).

Of budget * w_i tokens of a source of |D_i|, a = |D_i| / budget, what is read again is worth less and less:

    f(w) = w                                               up to one epoch (w <= a)
    f(w) = a + a R (1 - exp(-(w / a - 1) / R))             beyond, with R = 15.39 the paper's R_D*

and UtiliMax is minimised with f(w) in the place of w in the utility: || 1 - U'f(w) || + sum_i risk_i w_i^2. U
is at most 1, so the rest is at least 0 and, f being concave, the problem convex. Each step solves the problem
with f linearised and its curvature added to the risk; the gap to the dual bound ends it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.mixture.solver.capped_simplex import Array
from tasks.mixture.solver.solving import RELATIVE_GAP, ROUNDING, Solution, nearest

REPEATS_WORTH = 15.39
MAX_STEPS = 60
ENOUGH = 1e-15


@dataclass(frozen=True)
class Repetition:
    """What weights are worth: share (d,) is the weight that is one epoch, |D_i| / budget; worth is R."""

    share: Array
    worth: float = REPEATS_WORTH

    def value(self, w: Array) -> Array:
        again = np.maximum(w / self.share - 1, 0.0)
        return np.minimum(w, self.share) - self.share * self.worth * np.expm1(-again / self.worth)

    def slope(self, w: Array) -> Array:
        return np.exp(-np.maximum(w / self.share - 1, 0.0) / self.worth)

    def bend(self, w: Array) -> Array:
        """Minus the second derivative."""
        return np.where(w >= self.share, self.slope(w) / (self.share * self.worth), 0.0)


def solve_soft(utility: Array, risk: Array, repetition: Repetition) -> Solution:
    """The best mixture for utility (d, T) in [0, 1] and risk (d,) above 0, without any cap.

    Raises RuntimeError, stating the gap, where it stays above 1e-10 of the objective (plus rounding).
    """
    length = math.sqrt(utility.shape[1])  # of the target 1, which rounding is a share of
    upper = np.ones(len(utility))

    def objective(w: Array) -> float:
        return float(np.linalg.norm(1 - repetition.value(w) @ utility) + risk @ (w * w))

    w = repetition.share / repetition.share.sum()
    best, bound, directions, norm, steps = objective(w), -math.inf, np.zeros(utility.shape[1]), 0.0, 0
    while steps < MAX_STEPS:
        steps += 1
        rest = 1 - repetition.value(w) @ utility
        norm = float(np.linalg.norm(rest))
        v = np.maximum(rest, 0.0) / max(norm, 1e-300)
        gain = utility @ v
        below = _dual_bound(gain, risk, repetition, float(v.sum()))
        if below > bound:
            bound, directions = below, v
        if best - bound <= ENOUGH * max(best, length):
            break
        slope, bend = repetition.slope(w), gain * repetition.bend(w) / 2
        target = 1 - (repetition.value(w) - slope * w) @ utility
        found = nearest(slope[:, None] * utility, upper, risk + bend, target, 2 * bend * w)
        following = _shortened(objective, w, found.w - w, best)
        if following is None:
            break
        w, best = following
    if best - bound <= RELATIVE_GAP * best + ROUNDING * length:
        return Solution(w, directions, best, norm, max(best - bound, 0.0), steps)
    raise RuntimeError(
        f"soft epochs: stopped at a duality gap of {best - bound:.3g} for an objective of {best:.6g} "
        f"({utility.shape[0]} sources, {utility.shape[1]} tasks); {RELATIVE_GAP:g} of it is wanted"
    )


def _shortened(
    objective: Callable[[Array], float], w: Array, way: Array, best: float
) -> tuple[Array, float] | None:
    length = 1.0
    while length > 1e-12:
        value = objective(w + length * way)
        if value < best:
            return w + length * way, value
        length /= 2
    return None


def _dual_bound(gain: Array, risk: Array, repetition: Repetition, total: float) -> float:
    """D(v) = sum(v) + min_w [ sum risk w^2 - gain'f(w) ] over the simplex; total: sum(v)."""
    from scipy.optimize import brentq

    def excess(tau: float) -> float:
        return float(_response(gain, risk, repetition, tau).sum()) - 1

    high = float(gain.max())
    low = high - 1.0
    while excess(low) < 0:
        low = high - 4 * (high - low)
    tau = float(brentq(excess, low, high, xtol=1e-15, rtol=1e-15, maxiter=200))
    w = _response(gain, risk, repetition, tau)
    # Lagrangian bound: right for every tau, whatever rounding is left in the sum.
    return total + float(risk @ (w * w) - gain @ repetition.value(w)) + tau * (float(w.sum()) - 1)


def _response(gain: Array, risk: Array, repetition: Repetition, tau: float) -> Array:
    """w >= 0 that minimises risk w^2 - gain f(w) + tau w, source by source."""
    once = np.maximum((gain - tau) / (2 * risk), 0.0)
    beyond = once > repetition.share
    if not beyond.any():
        return once
    share, curvature = repetition.share[beyond], 2 * risk[beyond] * repetition.share[beyond]
    again = np.zeros(len(share))
    for _ in range(60):  # Newton from the left on an increasing concave function: it never oversteps.
        faded = gain[beyond] * np.exp(-again / repetition.worth)
        missing = faded - tau - curvature * (1 + again)
        step = missing / (curvature + faded / repetition.worth)
        again = again + step
        if np.abs(step).max() <= 1e-15 * (1 + np.abs(again).max()):
            break
    w = once.copy()
    w[beyond] = share * (1 + np.maximum(again, 0.0))
    return w
