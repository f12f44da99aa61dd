"""Power laws in the tokens that serve a loss: plain, and with diminishing return of each source.

    power        loss_k = E_k + (sum_i t_ki w_i)^-a_k             t > 0, a > 0
    diminishing  loss_k = E_k + (sum_i t_ki w_i^b_k)^-a_k         b > 0: below 1 a source's first tokens teach most

t_ki says how far tokens of source i serve target k: a power law in data (Hoffmann et al. 2022, arXiv
2203.15556) where the tokens of all sources add up to one effective number. Fitted in log t, log a and log b.
"""

from __future__ import annotations

import numpy as np

from tasks.mixture.laws.least_squares import PENALTIES, Penalised, best_penalised, penalty_path, robust_error
from tasks.mixture.laws.predictor import Column, Predictor, for_each_loss, robust_scale, stacked
from tasks.mixture.laws.run_folds import random_folds
from tasks.mixture.solver.capped_simplex import Array

EXPONENTS = (0.3, 1.0)
RETURN = 0.7  # Where the search for b starts.
SMALLEST = 1e-9
RUNS_A_PARAMETER = 3  # With fewer, the penalty is found by holding runs out, for all losses together.
LOG_T = (-60.0, 30.0)


def fit_power(mixtures: Array, losses: Array) -> Predictor:
    """The plain law for mixtures (n, d) and losses (n, m)."""
    return _fit(mixtures, losses, False)


def fit_diminishing(mixtures: Array, losses: Array) -> Predictor:
    """The law with diminishing returns for mixtures (n, d) and losses (n, m)."""
    return _fit(mixtures, losses, True)


def _fit(mixtures: Array, losses: Array, diminishing: bool) -> Predictor:
    num_losses = losses.shape[1]
    shared = None
    if len(mixtures) < RUNS_A_PARAMETER * (mixtures.shape[1] + 3):
        shared = _shared_penalty(mixtures, losses, diminishing)
    fitted = for_each_loss(
        lambda k: _one(mixtures, losses[:, k], diminishing, shared), num_losses, in_threads=False
    )
    about = {"penalties": [penalty for _, penalty in fitted]}
    return Predictor(stacked([column for column, _ in fitted]), True, about)


def _shared_penalty(mixtures: Array, losses: Array, diminishing: bool) -> float:
    """One penalty for all losses, of least error in random folds: what a few runs can tell."""
    errors = dict.fromkeys(PENALTIES, 0.0)
    for fold in random_folds(mixtures):
        rest = np.setdiff1d(np.arange(len(mixtures)), fold)
        for target in losses.T:
            problem, starts = _problem(mixtures[rest], target[rest], diminishing)
            for penalty, p in penalty_path(problem, starts).items():
                error = (_column(p, diminishing)(mixtures[fold]) - target[fold]) / robust_scale(target)
                errors[penalty] += robust_error(error)
    return min(errors, key=lambda penalty: errors[penalty])


def _one(mixtures: Array, target: Array, diminishing: bool, shared: float | None) -> tuple[Column, float]:
    problem, starts = _problem(mixtures, target, diminishing)
    if shared is None:
        p, penalty = best_penalised(problem, starts)
    else:
        p, penalty = penalty_path(problem, starts, weakest=shared)[shared], shared
    return _column(p, diminishing), penalty


def _column(p: Array, diminishing: bool) -> Column:
    """The law of parameters (log t (d), log a, E, log b where returns diminish)."""
    end = -3 if diminishing else -2
    t, a, floor = np.exp(p[:end]), float(np.exp(p[end])), float(p[end + 1])
    b = float(np.exp(p[-1])) if diminishing else 1.0
    return lambda points: floor + (_returns(points, b) @ t + SMALLEST**2) ** -a


def _problem(mixtures: Array, target: Array, diminishing: bool) -> tuple[Penalised, list[Array]]:
    d = mixtures.shape[1]
    logs, present = np.log(np.maximum(mixtures, SMALLEST)), mixtures > 0
    lowest, scale = float(target.min()), robust_scale(target)
    reach = max(float(np.percentile(target, 95)) - lowest, scale)  # Not the range: a run may have diverged.

    def model(p: Array) -> tuple[Array, Array]:
        """Values and Jacobian by the parameters."""
        a, b = np.exp(p[d]), np.exp(p[d + 2]) if diminishing else 1.0
        shares = (np.exp(b * logs) * present if diminishing else mixtures) * np.exp(p[:d])
        total = shares.sum(axis=1) + SMALLEST**2
        power = total**-a
        slope = -a * power / total
        columns = [slope[:, None] * shares, (-a * power * np.log(total))[:, None], np.ones((len(total), 1))]
        if diminishing:
            columns.append((slope * b * (shares * logs).sum(axis=1))[:, None])
        return p[d + 1] + power, np.concatenate(columns, axis=1)

    num = d + 2 + diminishing
    penalised = np.zeros((num - 1, num))
    penalised[:d, :d] = np.eye(d) - 1 / d
    penalised[d, d] = 0.1
    if diminishing:
        penalised[d + 1, d + 2] = 0.3
    bounds = np.array([LOG_T] * d + [(-4.0, 3.0), (-np.inf, lowest)] + [(-3.0, 1.0)] * diminishing)
    starts = [_start(mixtures, target, a, lowest - 0.15 * reach, diminishing) for a in EXPONENTS]
    return Penalised(model, target, scale, penalised, bounds), starts


def _returns(mixtures: Array, b: float) -> Array:
    return mixtures if b == 1 else np.where(mixtures > 0, np.maximum(mixtures, SMALLEST) ** b, 0.0)


def _start(mixtures: Array, target: Array, a: float, floor: float, diminishing: bool) -> Array:
    """For given a, E and b the law is linear in t: non-negative ridge towards the mean."""
    from scipy.optimize import nnls

    d = mixtures.shape[1]
    b = RETURN if diminishing else 1.0
    wanted = (target - floor) ** (-1 / a)
    mean = float(wanted.mean())
    rows = np.concatenate([_returns(mixtures, b), 0.3 * np.eye(d)])
    t, _ = nnls(rows, np.append(wanted, np.full(d, 0.3 * mean)))
    start = [*np.log(np.maximum(t, 1e-2 * mean)), np.log(a), floor]
    return np.array([*start, np.log(b)] if diminishing else start)
