"""Robust non-linear least squares with a quadratic penalty, whose strength is chosen by leave-one-out.

    minimise over p   sum_i huber((f_i(p) - y_i) / scale) + penalty * | R p |^2

Leaving a run out is approximated at the optimum by one Gauss-Newton step: error_i / (1 - h_ii), with h the
hat matrix of the linearised problem. That takes more runs than parameters: for tables with few, the laws hold
runs out in earnest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.mixture.solver.capped_simplex import Array
from tasks.pseudo_inverse import pseudo_inverse

PENALTIES = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
HUBER = 0.3
MAX_STEPS = 60
TOLERANCE = 1e-6
MOST_DAMPING = 1e8


@dataclass(frozen=True)
class Penalised:
    """model: parameters (q,) to values (n,) and their Jacobian (n, q). target (n,); scale: its spread.

    penalised (r, q): R. bounds (q, 2).
    """

    model: Callable[[Array], tuple[Array, Array]]
    target: Array
    scale: float
    penalised: Array
    bounds: Array


def penalty_path(problem: Penalised, starts: Sequence[Array], weakest: float = 0.0) -> dict[float, Array]:
    """The parameters at every penalty of at least `weakest`.

    Two ways, and at each penalty the better: from the strongest down, and from the weakest up, each from the
    best of the starts and then from the penalty before. A strong penalty levels the law, and from there the
    way down can end in a poor local minimum; the way up can begin in one.
    """
    penalties = [penalty for penalty in PENALTIES if penalty >= weakest]
    down = _along(problem, starts, penalties)
    up = _along(problem, starts, penalties[::-1])
    return {penalty: min(down[penalty], up[penalty], key=lambda found: found[1])[0] for penalty in penalties}


def _along(
    problem: Penalised, starts: Sequence[Array], penalties: Sequence[float]
) -> dict[float, tuple[Array, float]]:
    found = min((_solve(problem, start, penalties[0]) for start in starts), key=lambda found: found[1])
    path = {penalties[0]: found}
    for penalty in penalties[1:]:
        found = _solve(problem, found[0], penalty)
        path[penalty] = found
    return path


def best_penalised(problem: Penalised, starts: Sequence[Array]) -> tuple[Array, float]:
    """The parameters and the penalty of least leave-one-out error."""
    path = penalty_path(problem, starts)
    penalty = min(path, key=lambda penalty: _leave_one_out(problem, path[penalty], penalty))
    return path[penalty], penalty


def robust_error(errors: Array) -> float:
    """Huber's loss of errors in units of the spread, summed."""
    size = np.abs(errors)
    inner = np.minimum(size, HUBER)
    return float((inner * (2 * size - inner)).sum())


def _solve(problem: Penalised, start: Array, penalty: float) -> tuple[Array, float]:
    """Levenberg-Marquardt on reweighted normal equations, inside the bounds; parameters and cost."""
    low, high = problem.bounds[:, 0], problem.bounds[:, 1]
    stiffness = penalty * problem.penalised.T @ problem.penalised
    p = np.clip(start, low, high)
    values, slopes = problem.model(p)
    cost = _cost(problem, values, p, stiffness)
    damping = 1e-2
    for _ in range(MAX_STEPS):
        errors = (values - problem.target) / problem.scale
        trust = np.minimum(1.0, HUBER / np.maximum(np.abs(errors), 1e-300))
        rows = slopes / problem.scale
        weighted = rows * trust[:, None]
        gradient = weighted.T @ errors + stiffness @ p
        curvature = weighted.T @ rows + stiffness
        free = ~(((p <= low) & (gradient > 0)) | ((p >= high) & (gradient < 0)))
        fallen = 0.0
        while damping < MOST_DAMPING:
            tried = np.clip(p + _step(curvature, gradient, free, damping), low, high)
            new_values, new_slopes = problem.model(tried)
            new_cost = _cost(problem, new_values, tried, stiffness)
            if new_cost < cost:
                fallen = (cost - new_cost) / cost
                p, values, slopes, cost = tried, new_values, new_slopes, new_cost
                damping = max(damping / 5, 1e-9)
                break
            damping *= 5
        if fallen < TOLERANCE:
            break
    return p, cost


def _step(curvature: Array, gradient: Array, free: NDArray[np.bool_], damping: float) -> Array:
    step = np.zeros_like(gradient)
    inner = curvature[np.ix_(free, free)]
    diagonal = np.diag(inner)
    raised = inner + np.diag(
        damping * np.maximum(diagonal, 1e-9 * max(float(diagonal.max(initial=0)), 1e-12))
    )
    step[free] = -np.linalg.solve(raised, gradient[free])
    return step


def _cost(problem: Penalised, values: Array, p: Array, stiffness: Array) -> float:
    penalty = max(float(p @ stiffness @ p), 0.0)  # by rounding it may fall below
    cost = robust_error((values - problem.target) / problem.scale) + penalty
    return cost if np.isfinite(cost) else np.inf


def _leave_one_out(problem: Penalised, p: Array, penalty: float) -> float:
    values, slopes = problem.model(p)
    errors = (values - problem.target) / problem.scale
    trust = np.sqrt(np.minimum(1.0, HUBER / np.maximum(np.abs(errors), 1e-300)))
    rows = trust[:, None] * slopes / problem.scale
    rest = problem.penalised
    inverse = pseudo_inverse(rows.T @ rows + penalty * rest.T @ rest, hermitian=True)
    leverage = np.einsum("nq,qr,nr->n", rows, inverse, rows)
    return robust_error(errors / np.maximum(1 - leverage, 1e-3))
