"""Robust non-linear least squares with a quadratic penalty, whose strength is chosen by leave-one-out.

    minimise over p   sum_i c_i huber((f_i(p) - y_i) / scale) + penalty * | R p |^2

c_i is 1, or 0 for a run that is held out. Many such problems (one a loss, one a loss and fold) are solved at once: each
takes its own steps and stops by itself, so that its answer does not depend on the others.

Leaving a run out is approximated at the optimum by one Gauss-Newton step: error_i / (1 - h_ii), with h the
hat matrix of the linearised problem. That takes more runs than parameters: for tables with few, the laws hold
runs out in earnest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasks.mixture.solver.capped_simplex import Array
from tasks.pseudo_inverse import pseudo_inverse

PENALTIES = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
HUBER = 0.3
MAX_STEPS = 60
TOLERANCE = 1e-6
MOST_DAMPING = 1e8
FIRST_DAMPING, LEAST_DAMPING = 1e-2, 1e-9


@dataclass(frozen=True)
class Penalised:
    """k problems with q parameters and n runs each.

    model: parameters (., q) to values (., n) and their Jacobian (., n, q). targets (k, n); counts (k, n): 0 for a run
    that is held out, else 1; scales (k,): the spread of each target. penalised (r, q): R. bounds (k, q, 2).
    """

    model: Callable[[Array], tuple[Array, Array]]
    targets: Array
    counts: Array
    scales: Array
    penalised: Array
    bounds: Array

    def of(self, which: NDArray) -> Penalised:
        """Only the problems `which`."""
        return replace(
            self,
            targets=self.targets[which],
            counts=self.counts[which],
            scales=self.scales[which],
            bounds=self.bounds[which],
        )


def penalty_path(problem: Penalised, starts: Sequence[Array], weakest: float = 0.0) -> dict[float, Array]:
    """The parameters (k, q) at every penalty of at least `weakest`; starts: (k, q) each.

    Two ways, and at each penalty the better: from the strongest down, and from the weakest up, each from the
    best of the starts and then from the penalty before. A strong penalty levels the law, and from there the
    way down can end in a poor local minimum; the way up can begin in one.
    """
    penalties = [penalty for penalty in PENALTIES if penalty >= weakest]
    down = _along(problem, starts, penalties)
    up = _along(problem, starts, penalties[::-1])
    return {penalty: _better(down[penalty], up[penalty])[0] for penalty in penalties}


def _along(
    problem: Penalised, starts: Sequence[Array], penalties: Sequence[float]
) -> dict[float, tuple[Array, Array]]:
    found = _solve(problem, starts[0], penalties[0])
    for start in starts[1:]:
        found = _better(found, _solve(problem, start, penalties[0]))
    path = {penalties[0]: found}
    for penalty in penalties[1:]:
        found = _solve(problem, found[0], penalty)
        path[penalty] = found
    return path


def _better(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    """Of each problem the parameters of lower cost."""
    is_second = second[1] < first[1]
    return np.where(is_second[:, None], second[0], first[0]), np.where(is_second, second[1], first[1])


def best_penalised(problem: Penalised, starts: Sequence[Array]) -> tuple[Array, Array]:
    """The parameters (k, q) and the penalty (k,) of least leave-one-out error."""
    path = penalty_path(problem, starts)
    errors = np.stack([_leave_one_out(problem, p, penalty) for penalty, p in path.items()])
    chosen = errors.argmin(axis=0)
    found = np.stack(list(path.values()))
    return found[chosen, np.arange(found.shape[1])], np.array(list(path))[chosen]


def robust_error(errors: Array) -> Array:
    """Huber's loss of errors (..., n) in units of the spread, summed over n."""
    size = np.abs(errors)
    inner = np.minimum(size, HUBER)
    return (inner * (2 * size - inner)).sum(axis=-1)


def _solve(problem: Penalised, start: Array, penalty: float) -> tuple[Array, Array]:
    """Levenberg-Marquardt on reweighted normal equations, inside the bounds; parameters (k, q) and costs (k,)."""
    stiffness = penalty * problem.penalised.T @ problem.penalised
    p = np.clip(start, problem.bounds[..., 0], problem.bounds[..., 1])
    values, slopes = problem.model(p)
    cost = _cost(problem, values, p, stiffness)
    gradient, curvature = _normal(problem, values, slopes, p, stiffness)
    damping, steps = np.full(len(p), FIRST_DAMPING), np.zeros(len(p), dtype=int)
    at_work = np.arange(len(p))
    while len(at_work):
        own = problem.of(at_work)
        low, high = own.bounds[..., 0], own.bounds[..., 1]
        here = p[at_work]
        free = ~(((here <= low) & (gradient[at_work] > 0)) | ((here >= high) & (gradient[at_work] < 0)))
        step = _step(curvature[at_work], gradient[at_work], free, damping[at_work])
        tried = np.clip(here + step, low, high)
        values, slopes = problem.model(tried)
        new_cost = _cost(own, values, tried, stiffness)
        lower = new_cost < cost[at_work]
        fallen = np.where(lower, (cost[at_work] - new_cost) / np.maximum(cost[at_work], 1e-300), np.inf)
        taken = at_work[lower]
        p[taken], cost[taken] = tried[lower], new_cost[lower]
        gradient[taken], curvature[taken] = _normal(
            own.of(np.flatnonzero(lower)), values[lower], slopes[lower], p[taken], stiffness
        )
        steps[taken] += 1
        damping[at_work] = np.where(
            lower, np.maximum(damping[at_work] / 5, LEAST_DAMPING), damping[at_work] * 5
        )
        ended = (fallen < TOLERANCE) | (damping[at_work] >= MOST_DAMPING) | (steps[at_work] >= MAX_STEPS)
        at_work = at_work[~ended]
    return p, cost


def _normal(
    problem: Penalised, values: Array, slopes: Array, p: Array, stiffness: Array
) -> tuple[Array, Array]:
    """Gradient (k, q) and curvature (k, q, q) of half the cost, by Gauss and Newton."""
    errors = (values - problem.targets) / problem.scales[:, None]
    rows = slopes / problem.scales[:, None, None]
    weighted = rows * (problem.counts * _trust(errors))[..., None]
    gradient = np.einsum("knq,kn->kq", weighted, errors) + p @ stiffness
    return gradient, weighted.transpose(0, 2, 1) @ rows + stiffness


def _trust(errors: Array) -> Array:
    return np.minimum(1.0, HUBER / np.maximum(np.abs(errors), 1e-300))


def _step(curvature: Array, gradient: Array, free: NDArray[np.bool_], damping: Array) -> Array:
    """The damped step (k, q) of the parameters that are free; 0 for those that are held at a bound."""
    diagonal = np.where(free, np.diagonal(curvature, axis1=1, axis2=2), 0.0)
    least = 1e-9 * np.maximum(diagonal.max(axis=1, keepdims=True), 1e-12)
    raised = np.where(free, damping[:, None] * np.maximum(diagonal, least), 1.0)
    inner = np.where(free[:, :, None] & free[:, None, :], curvature, 0.0)
    inner += raised[:, :, None] * np.eye(curvature.shape[1])
    return -np.linalg.solve(inner, np.where(free, gradient, 0.0)[..., None])[..., 0]


def _cost(problem: Penalised, values: Array, p: Array, stiffness: Array) -> Array:
    errors = (values - problem.targets) / problem.scales[:, None]
    penalty = np.maximum(np.einsum("kq,qr,kr->k", p, stiffness, p), 0.0)  # by rounding it may fall below
    cost = robust_error(problem.counts * errors) + penalty
    return np.where(np.isfinite(cost), cost, np.inf)


def _leave_one_out(problem: Penalised, p: Array, penalty: float) -> Array:
    values, slopes = problem.model(p)
    errors = (values - problem.targets) / problem.scales[:, None]
    rows = np.sqrt(_trust(errors))[..., None] * slopes / problem.scales[:, None, None]
    rest = problem.penalised
    inverse = pseudo_inverse(rows.transpose(0, 2, 1) @ rows + penalty * rest.T @ rest, hermitian=True)
    leverage = ((rows @ inverse) * rows).sum(axis=2)
    return robust_error(problem.counts * errors / np.maximum(1 - leverage, 1e-3))
