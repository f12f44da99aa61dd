"""Gaussian process regression on transformed weights, with a length scale a source, fitted by posterior mode.

    y = mean(w) + f(x(w)) + noise,   cov f = s^2 * Matern 5/2(|x - x'| / l) + c^2 * x'x

x: the square roots of the weights (a step from 0 to .01 matters more than one from .30 to .31), or their
logarithms with a tenth of the uniform weight added; standardised over the runs. Hyperparameters maximise the
marginal likelihood times weak log-normal priors (Rasmussen and Williams 2006, chapter 5), on at most so many
runs; then all runs are conditioned on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tasks.mixture.laws.predictor import Column, Predictor, for_each_loss, stacked
from tasks.mixture.solver.capped_simplex import Array

MOST_RUNS = 256
MAX_STEPS = 40
CENTRE = {"scale": 0.7, "signal": 0.0, "noise": -3.0, "slope": -1.0}
SPREAD = {"scale": 1.5, "signal": 2.0, "noise": 2.0, "slope": 2.0}
JITTER = 1e-8

Inputs = Callable[[Array], Array]


def square_roots(mixtures: Array) -> Array:
    return np.sqrt(mixtures)


def logarithms(mixtures: Array) -> Array:
    """log(w + 0.1 / d): finite at 0, and bent where a source has a tenth of its uniform weight."""
    return np.log(mixtures + 0.1 / mixtures.shape[1])


def fit_gaussian(mixtures: Array, losses: Array, most_runs: int = MOST_RUNS) -> Predictor:
    """The mean of a process on square roots and one on logarithms, for mixtures (n, d) and losses (n, m)."""
    parts = [fit_process(mixtures, losses, inputs, most_runs) for inputs in (square_roots, logarithms)]
    return Predictor(lambda points: np.mean([part.predict(points) for part in parts], axis=0), True)


def fit_process(
    mixtures: Array, losses: Array, inputs: Inputs = square_roots, most_runs: int = MOST_RUNS
) -> Predictor:
    """One process a loss, around its mean, for mixtures (n, d) and losses (n, m)."""
    raw = inputs(mixtures)
    centre, spread = raw.mean(axis=0), raw.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    x = (raw - centre) / spread
    chosen = np.random.default_rng(0).permutation(len(x))[:most_runs]
    posteriors = for_each_loss(lambda k: _posterior(x, losses[:, k], chosen), losses.shape[1])
    predict = stacked(posteriors)
    return Predictor(lambda points: predict((inputs(points) - centre) / spread), True)


def _posterior(x: Array, target: Array, chosen: NDArray[np.intp]) -> Column:
    mean, scale = float(target.mean()), float(target.std())
    if not scale > 1e-12 * max(abs(mean), 1e-300):
        return lambda points: np.full(len(points), mean)
    y = (target - mean) / scale
    p = posterior_mode(x[chosen], y[chosen])
    covariance = kernel(p, x, x)
    covariance[np.diag_indices_from(covariance)] += np.exp(2 * p[-2]) + JITTER
    coefficients = np.linalg.solve(covariance, y)
    return lambda points: mean + scale * (kernel(p, points, x) @ coefficients)


def posterior_mode(x: Array, y: Array, known: Array | None = None) -> Array:
    """Logarithms of (length scales (d), signal, noise, slope) of highest posterior for inputs (n, d), targets (n,).

    known (n, n): a part of the covariance that has no hyperparameters.
    """
    from scipy.optimize import minimize

    d = x.shape[1]
    start = np.append(np.full(d, CENTRE["scale"]), [CENTRE["signal"], CENTRE["noise"] + 0.5, CENTRE["slope"]])
    bounds = [(-4.0, 8.0)] * d + [(-6.0, 5.0), (-7.0, 2.0), (-8.0, 4.0)]
    found = minimize(
        _cost,
        start,
        args=(x, y, known),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": MAX_STEPS},
    )
    return found.x


def kernel(p: Array, left: Array, right: Array) -> Array:
    """The covariance of f between points (n, d) and (m, d)."""
    scales = np.exp(p[:-3])
    shape, _ = _matern(left / scales, right / scales)
    return np.exp(2 * p[-3]) * shape + np.exp(2 * p[-1]) * (left @ right.T)


def _matern(left: Array, right: Array) -> tuple[Array, Array]:
    """Matern 5/2 and its derivative by the squared distance."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2 * left @ right.T
    root = np.sqrt(5 * np.maximum(squares, 0))
    decay = np.exp(-root)
    return (1 + root + root**2 / 3) * decay, -(5 / 6) * (1 + root) * decay


def _cost(p: Array, x: Array, y: Array, known: Array | None = None) -> tuple[float, Array]:
    """Minus the log posterior of hyperparameters p, and its gradient."""
    from scipy.linalg import cho_solve, lapack

    n, d = x.shape
    signal, noise, slope = np.exp(2 * p[-3:])
    z = x / np.exp(p[:d])
    shape, falling = _matern(z, z)
    linear = x @ x.T
    covariance = signal * shape + slope * linear + (0.0 if known is None else known)
    covariance[np.diag_indices(n)] += noise + JITTER
    root, failed = lapack.dpotrf(covariance, lower=1)
    if failed:
        return 1e10, np.zeros_like(p)
    coefficients = cho_solve((root, True), y)
    inverse, _ = lapack.dpotri(root, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    pull = np.outer(coefficients, coefficients) - inverse
    by_distance = pull * falling * signal
    gradient = np.empty_like(p)
    gradient[:d] = 2 * (by_distance.sum(axis=1) @ z**2 - np.einsum("nd,nd->d", z, by_distance @ z))
    gradient[d:] = -signal * (pull * shape).sum(), -noise * np.trace(pull), -slope * (pull * linear).sum()
    centre = np.append(np.full(d, CENTRE["scale"]), [CENTRE[name] for name in ("signal", "noise", "slope")])
    spread = np.append(np.full(d, SPREAD["scale"]), [SPREAD[name] for name in ("signal", "noise", "slope")])
    away = (p - centre) / spread
    cost = 0.5 * y @ coefficients + np.log(np.diag(root)).sum() + 0.5 * away @ away
    return float(cost), gradient + away / spread
