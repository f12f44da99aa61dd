"""A primal active set method for the mixture problem at small risks, started near the optimum.

The smaller the risk, the shorter the linear pieces of the dual's answer w(v), and the steps of a method on the dual.
The sources inside their bounds hardly change any more by then, and are few: Newton steps are taken for the objective
in their weights alone.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from tasks.mixture.solver.capped_simplex import Array
from tasks.mixture.solver.problem import Problem

MAX_PIVOTS, MAX_FREE = 200, 4  # MAX_FREE: for each task
WRONG, CONVERGED = 1e-12, 1e-9
LAST_DIGITS = 4e-16


def pivoted(problem: Problem, w: Array) -> tuple[Array, int]:
    """Weights (d,) no worse than w, optimal if all goes well, and the steps taken: a primal active set method.

    w is a mixture near the optimum; risk may be 0. With the others at their bounds, Newton's step for the free
    sources (I - vv' is what the norm's Hessian is, times ||r||) solves

        (U_A (I - vv') U_A' / ||r|| + 2 diag(risk_A)) dw = (Uv + c)_A - 2 risk_A w_A - tau,     sum(dw) = 0.

    A source that the step would take past its bound stays there; where none is, those whose multiplier has the
    wrong sign become free, the most wrong first and no more than T / 2 at once (more than T leave the equations
    singular at no risk). A step costs O(|A|^2 T + |A|^3), and O(d T) where sources become free. It stops where
    the objective no longer falls, and at too many free sources. The caller looks at the gap.
    """
    w = np.where(w > LAST_DIGITS, w, 0.0)
    free, rest = np.flatnonzero((w > 0) & (w < problem.upper)), problem.rest(w)
    for pivot in range(MAX_PIVOTS):
        norm = math.sqrt(float(rest @ rest))
        if not (0 < len(free) <= MAX_FREE * len(rest) and norm > 0):
            return w, pivot
        rows, risk, upper, weights = problem.utility[free], problem.risk[free], problem.upper[free], w[free]
        linear = problem.linear[free]
        along = rows @ (rest / norm)
        curvature = (rows @ rows.T - np.multiply.outer(along, along)) / norm
        curvature.flat[:: len(free) + 1] += 2 * risk
        factor, failed = dpotrf(curvature, lower=1, overwrite_a=1, clean=0)
        if failed:
            return w, pivot
        right = np.ones((len(free), 2))
        right[:, 0] = along + linear - 2 * risk * weights
        right[:, 0] -= right[:, 0].mean()
        towards, level = dpotrs(factor, right, lower=1)[0].T
        step = towards - (towards.sum() / level.sum()) * level
        step -= step.mean()  # rounding, where the curvature is nearly singular
        falls, grows, length = step < 0, step > 0, np.abs(step)
        room = np.where(falls, weights, upper - weights)
        blocked = length > room
        if blocked.any():
            step *= float((room[blocked] / length[blocked]).min())
        change = step @ rows
        after = rest - change
        longer = -float((rest + after) @ change) / (norm + math.sqrt(float(after @ after)))
        rise = longer + float(step @ (risk * (2 * weights + step) - linear))
        if not rise <= LAST_DIGITS * norm:
            return w, pivot
        weights, rest = weights + step, after
        empty, full = falls & (weights <= LAST_DIGITS), grows & (weights >= upper - LAST_DIGITS)
        w[free] = np.where(empty, 0.0, np.where(full, upper, weights))
        if empty.any() or full.any():
            free = free[~(empty | full)]
            continue
        slack = 2 * problem.risk * w - problem.gain(rest / math.sqrt(float(rest @ rest)))
        slack -= slack[free].mean()
        wrong = np.where(w <= 0, -slack, np.where(w >= problem.upper, slack, 0.0))
        wrong[free] = 0.0
        released = np.flatnonzero(wrong > WRONG)
        released = released[np.argsort(-wrong[released], kind="stable")[: 1 + len(rest) // 2]]
        if not len(released) and length.max() <= CONVERGED:
            return w, pivot + 1
        free = np.concatenate([free, released])
    return w, MAX_PIVOTS
