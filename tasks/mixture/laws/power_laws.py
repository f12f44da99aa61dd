"""Power laws in the tokens that serve a loss: plain, and with diminishing return of each source.

    power        loss_k = E_k + (sum_i t_ki w_i)^-a_k             t > 0, a > 0
    diminishing  loss_k = E_k + (sum_i t_ki w_i^b_k)^-a_k         b > 0: below 1 a source's first tokens teach most

t_ki says how far tokens of source i serve target k: a power law in data (Hoffmann et al. 2022, arXiv
2203.15556) where the tokens of all sources add up to one effective number. Fitted in log t, log a and log b, for all
losses at once.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from tasks.mixture.laws.least_squares import Penalised, best_penalised, penalty_path, robust_error
from tasks.mixture.laws.predictor import Predictor, robust_scale
from tasks.mixture.laws.run_folds import random_folds
from tasks.mixture.solver.capped_simplex import Array

EXPONENTS = (0.3, 1.0)
RETURN = 0.7  # Where the search for b starts.
SMALLEST = 1e-9
RUNS_A_PARAMETER = 3  # With fewer, the penalty is found by holding runs out, for all losses together.
LOG_T = (-60.0, 30.0)


def fit_power(mixtures: Array, losses: Array, penalty: float | None = None) -> Predictor:
    """The plain law for mixtures (n, d) and losses (n, m); penalty: of all losses, where it is known."""
    return _fit(mixtures, losses, False, penalty)


def fit_diminishing(mixtures: Array, losses: Array, penalty: float | None = None) -> Predictor:
    """The law with diminishing returns for mixtures (n, d) and losses (n, m); penalty: as of `fit_power`."""
    return _fit(mixtures, losses, True, penalty)


def _fit(mixtures: Array, losses: Array, diminishing: bool, penalty: float | None) -> Predictor:
    with threadpool_limits(limits=1):  # with more, sums round differently from machine to machine
        if penalty is None and len(mixtures) < RUNS_A_PARAMETER * (mixtures.shape[1] + 3):
            penalty = _shared_penalty(mixtures, losses, diminishing)
        problem, starts = _problem(mixtures, losses.T, np.ones(losses.T.shape), diminishing)
        if penalty is None:
            p, penalties = best_penalised(problem, starts)
        else:
            p = penalty_path(problem, starts, weakest=penalty)[penalty]
            penalties = np.full(len(p), penalty)
    about = {"penalties": penalties.tolist()}
    return Predictor(lambda points: _predicted(points, p, diminishing).T, True, about)


def _shared_penalty(mixtures: Array, losses: Array, diminishing: bool) -> float:
    """One penalty for all losses, of least error in random folds: what a few runs can tell."""
    folds, (n, m) = random_folds(mixtures), losses.shape
    held = np.zeros((len(folds) * m, n))
    for i, fold in enumerate(folds):
        held[i * m : (i + 1) * m, fold] = 1.0
    targets = np.tile(losses.T, (len(folds), 1))
    problem, starts = _problem(mixtures, targets, 1 - held, diminishing)
    scales = np.array([[robust_scale(target)] for target in targets])
    errors = {
        penalty: robust_error(held * (_predicted(mixtures, p, diminishing) - targets) / scales).sum()
        for penalty, p in penalty_path(problem, starts).items()
    }
    return min(errors, key=lambda penalty: errors[penalty])


def _predicted(points: Array, p: Array, diminishing: bool) -> Array:
    """Losses (k, n) of points (n, d) by parameters (k, q): log t (d), log a, E, log b where returns diminish."""
    d = points.shape[1]
    t, a, floor = np.exp(p[:, :d]), np.exp(p[:, d]), p[:, d + 1]
    b = np.exp(p[:, d + 2]) if diminishing else np.ones(len(p))
    total = np.stack([_returns(points, float(b[k])) @ t[k] for k in range(len(p))])
    return floor[:, None] + (total + SMALLEST**2) ** -a[:, None]


def _problem(
    mixtures: Array, targets: Array, counts: Array, diminishing: bool
) -> tuple[Penalised, list[Array]]:
    """One problem for each of the targets (k, n), where counts (k, n) is 1, and where to start, (k, q) each."""
    d = mixtures.shape[1]
    logs, present = np.log(np.maximum(mixtures, SMALLEST)), mixtures > 0
    seen = [target[count > 0] for target, count in zip(targets, counts, strict=True)]
    lowest = np.array([values.min() for values in seen])
    scales = np.array([robust_scale(values) for values in seen])
    # Not the range: a run may have diverged.
    reach = np.maximum([np.percentile(values, 95) for values in seen] - lowest, scales)

    def model(p: Array) -> tuple[Array, Array]:
        """Values (k, n) and Jacobian (k, n, q) by the parameters."""
        a = np.exp(p[:, d, None])
        b = np.exp(p[:, d + 2, None]) if diminishing else np.ones((len(p), 1))
        shares = (
            np.exp(b[..., None] * logs) * present
            if diminishing
            else np.broadcast_to(mixtures, (len(p), *mixtures.shape))
        )
        shares = shares * np.exp(p[:, None, :d])
        total = shares.sum(axis=2) + SMALLEST**2
        power = total**-a
        slope = -a * power / total
        columns = [
            slope[..., None] * shares,
            (-a * power * np.log(total))[..., None],
            np.ones((*total.shape, 1)),
        ]
        if diminishing:
            columns.append((slope * b * (shares * logs).sum(axis=2))[..., None])
        return p[:, d + 1, None] + power, np.concatenate(columns, axis=2)

    num = d + 2 + diminishing
    penalised = np.zeros((num - 1, num))
    penalised[:d, :d] = np.eye(d) - 1 / d
    penalised[d, d] = 0.1
    if diminishing:
        penalised[d + 1, d + 2] = 0.3
    alike = np.array([LOG_T] * d + [(-4.0, 3.0), (-np.inf, np.inf)] + [(-3.0, 1.0)] * diminishing)
    bounds = np.tile(alike, (len(targets), 1, 1))
    bounds[:, d + 1, 1] = lowest
    floors = lowest - 0.15 * reach
    starts = [
        np.stack(
            [
                _start(mixtures[count > 0], values, a, floor, diminishing)
                for count, values, floor in zip(counts, seen, floors, strict=True)
            ]
        )
        for a in EXPONENTS
    ]
    return Penalised(model, targets, counts, scales, penalised, bounds), starts


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
