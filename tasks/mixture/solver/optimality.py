"""What certifies a solution of the mixture problem, and what it says of the sources: KKT residual and prices.

With v in the unit ball and v'r = ||r||, and tau the multiplier of sum(w) = 1,

    slack_i = 2 risk_i w_i - (Uv + c)_i + tau

is 0 for a source inside its bounds, at least 0 for one without weight and at most 0 for one at its bound,
where -slack_i is what the optimum falls by for each unit that the bound rises. v is r / ||r||, or the
directions of the solver's bound where those leave less (r near 0 says little of its direction).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.mixture.solver.capped_simplex import Array
from tasks.mixture.solver.problem import Problem


@dataclass(frozen=True)
class Optimality:
    """residual: the largest violation of the KKT conditions, relative to the largest term in them.

    bound_prices (d,): the fall of the objective for each unit of upper bound. gains (d, T): the fall of the
    objective for each unit of weight by way of each task, U_ij v_j.
    """

    residual: float
    bound_prices: Array
    gains: Array


def optimality(problem: Problem, w: Array, v: Array) -> Optimality:
    """Of weights w (d,) and directions v (T,) as the solver returned them."""
    rest = problem.rest(w)
    candidates = [v, rest / max(float(np.linalg.norm(rest)), 1e-300)]
    return min((_at(problem, w, v, rest) for v in candidates), key=lambda found: found.residual)


def _at(problem: Problem, w: Array, v: Array, rest: Array) -> Optimality:
    gain = problem.gain(v)
    pull = 2 * problem.risk * w - gain
    empty, full = w <= 0, (w >= problem.upper) & (problem.upper < 1)
    free = ~empty & ~full
    tau = -float(pull[free].mean()) if free.any() else -_middle(pull[empty], pull[full])
    slack = pull + tau
    broken = np.where(empty, np.maximum(-slack, 0), np.where(full, np.maximum(slack, 0), np.abs(slack)))
    scale = max(float(np.abs(gain).max()), float((2 * problem.risk * w).max()), 1e-300)
    unaligned = (float(np.linalg.norm(rest)) - float(v @ rest)) / max(problem.objective(w), 1e-300)
    residual = max(float(broken.max()) / scale, abs(float(w.sum()) - 1), unaligned)
    return Optimality(residual, np.where(full, np.maximum(-slack, 0.0), 0.0), problem.utility * v)


def _middle(empty: Array, full: Array) -> float:
    """A multiplier that all sources without weight and all at their bound allow, where there are no others."""
    lowest = float(empty.min()) if len(empty) else np.inf
    highest = float(full.max()) if len(full) else -np.inf
    if np.isinf(lowest) or np.isinf(highest):
        return highest if np.isinf(lowest) else lowest
    return (lowest + highest) / 2
