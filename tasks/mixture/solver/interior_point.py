"""One primal-dual interior point step for the mixture problem, and a point on the central path to start from.

    minimise  phi(b - U'w) + sum_i risk_i w_i^2 - c'w
    subject to   sum(w) = 1,   low = w >= 0,   high = upper - w >= 0

with multipliers y, z_low, z_high. phi is the norm as the barrier of its second-order cone smooths it:
at complementarity mu its gradient is v = r / t with t = (mu + sqrt(mu^2 + 4 ||r||^2)) / 2, so phi becomes the
norm as mu falls, and needs no special case where an ideal mixture (r = 0) exists. Sources whose bound
is 1 have no `high`: sum(w) = 1 implies it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tasks.mixture.solver.capped_simplex import Array
from tasks.mixture.solver.problem import Problem

BACK_OFF = 0.995


@dataclass(frozen=True)
class State:
    """A strictly interior point; `capped` (d,) is 1 for sources with an upper bound below 1, else 0."""

    w: Array
    y: float
    z_low: Array
    high: Array
    z_high: Array
    capped: Array

    @property
    def mu(self) -> float:
        """Mean complementarity."""
        return float((self.w @ self.z_low + self.high @ self.z_high) / (len(self.w) + self.capped.sum()))

    def snapped(self, upper: Array) -> Array:
        """Weights with those put on a bound whose distance to it is smaller than its multiplier."""
        w = np.where(self.w < self.z_low, 0.0, np.clip(self.w, 0, upper))
        return np.where((self.capped > 0) & (self.high < self.z_high), upper, w)


def central_start(problem: Problem) -> State:
    """Interior weights with multipliers that make every complementarity product the same."""
    upper = problem.upper
    d = len(upper)
    capped = (upper < 1).astype(float)
    if capped.all():
        w = upper / upper.sum()
    else:
        w = np.minimum(upper / 2, 1 / (2 * d)) * capped
        w += (1 - capped) * (1 - w.sum()) / (d - capped.sum())
    scale = float(np.linalg.norm(problem.rest(w))) + float(problem.risk @ (w * w))
    mu = (scale + 1e-3) / (2 * d)
    high = np.where(capped > 0, upper - w, 1.0)
    return State(w=w, y=0.0, z_low=mu / w, high=high, z_high=capped * mu / high, capped=capped)


def smoothed_direction(rest: Array, mu: float) -> Array:
    """The gradient v (T,) of the smoothed norm at rest (T,); ||v|| < 1."""
    return rest / _radius(float(np.linalg.norm(rest)), mu)


def newton_step(problem: Problem, at: State) -> State:
    """The next point: Mehrotra's predictor and corrector. LinAlgError where rounding stops it."""
    system = _System(problem, at)
    predicted = system.direction(0.0, None)
    reach = min(system.longest_step(predicted), 1.0)
    after = _moved(at, predicted, reach)
    sigma = min((max(after.mu, 0.0) / at.mu) ** 3 + 1e-3 * (1 - reach), 1.0)
    step = system.direction(sigma, predicted)
    length = min(BACK_OFF * system.longest_step(step), 1.0)
    if not (math.isfinite(length) and length > 1e-12):
        raise np.linalg.LinAlgError("no step left")
    return _moved(at, step, length)


def _moved(at: State, step: State, length: float) -> State:
    return State(
        w=at.w + length * step.w,
        y=at.y + length * step.y,
        z_low=at.z_low + length * step.z_low,
        high=at.high + length * step.high,
        z_high=at.z_high + length * step.z_high,
        capped=at.capped,
    )


class _System:
    """Newton's equations at one point, factorised once for the two directions."""

    def __init__(self, problem: Problem, at: State) -> None:
        self.at = at
        utility, rest = problem.utility, problem.rest(at.w)
        self.inverse = 1 / (2 * problem.risk + at.z_low / at.w + at.z_high / at.high)
        # Centred utilities drop sum(dw) out of the rest of the system, and with it a cancellation.
        mean = self.inverse @ utility / self.inverse.sum()
        self.mean = _times_root_curvature(mean, rest, at.mu)
        self.curved = _times_root_curvature(utility - mean, rest, at.mu)
        normal = np.eye(len(rest)) + (self.curved * self.inverse[:, None]).T @ self.curved
        self.factor = np.linalg.cholesky(normal)
        self.gradient = 2 * problem.risk * at.w - problem.gain(smoothed_direction(rest, at.mu))
        self.sum_residual = float(at.w.sum() - 1)

    def direction(self, sigma: float, predicted: State | None) -> State:
        """Towards complementarity sigma * mu, corrected for the second-order error of `predicted`."""
        at = self.at
        low, high = np.full(len(at.w), sigma * at.mu), at.capped * (sigma * at.mu)
        if predicted is not None:
            low = low - predicted.w * predicted.z_low
            high = high - predicted.high * predicted.z_high
        low, high = low / at.w, high / at.high
        right = low - high - self.gradient - at.y
        shift = (self.inverse @ right + self.sum_residual) / self.inverse.sum()
        # The shift is a constant, which the centred utilities are orthogonal to.
        bent = np.linalg.solve(self.factor, self.curved.T @ (self.inverse * (right - shift)))
        bent = np.linalg.solve(self.factor.T, bent)
        dw = self.inverse * (right - shift - self.curved @ bent)
        dw -= self.inverse * (
            (dw.sum() + self.sum_residual) / self.inverse.sum()
        )  # Rounding, at small risks.
        return State(
            w=dw,
            y=float(shift - self.mean @ (dw @ self.curved)),
            z_low=low - at.z_low * (1 + dw / at.w),
            high=-at.capped * dw,
            z_high=high - at.z_high * (1 - dw / at.high),
            capped=at.capped,
        )

    def longest_step(self, step: State) -> float:
        """How far `step` can be followed before any slack or multiplier reaches zero."""
        at = self.at
        shrinkage = max(
            float((-step.w / at.w).max()),
            float((-step.z_low / at.z_low).max()),
            float((-step.high / at.high).max()),
            float((-step.z_high / np.where(at.capped > 0, at.z_high, 1.0)).max()),
        )
        return math.inf if shrinkage <= 0 else 1 / shrinkage


def _radius(norm: float, mu: float) -> float:
    return (mu + math.sqrt(mu * mu + 4 * norm * norm)) / 2


def _times_root_curvature(rows: Array, rest: Array, mu: float) -> Array:
    """rows (..., T) times the square root of phi's Hessian (I - k rest rest') / t, k = 2 / (t (2t - mu))."""
    norm = float(np.linalg.norm(rest))
    t = _radius(norm, mu)
    along = rest / norm if norm > 0 else rest
    shorter = 1 - math.sqrt(mu / (2 * t - mu))  # Along `rest` the Hessian is mu / (2t - mu) of that across.
    return (rows - np.multiply.outer(rows @ along, shorter * along)) / math.sqrt(t)
