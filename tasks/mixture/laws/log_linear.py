"""The log-linear law of Olmix (arXiv 2602.12237), fitted with Huber's loss: loss_k = c_k + exp(t_k'w), c_k >= 0.

No intercept inside exp: the weights sum to 1, so that t_k takes it up.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law
from tasks.mixture.laws.least_squares import Penalised, best_penalised
from tasks.mixture.laws.predictor import Predictor, robust_scale
from tasks.mixture.solver.capped_simplex import Array

FLOORS = (0.3, 0.9)


class LogLinearSettings(MethodSettings):
    """The law log-linear has no settings."""

    method: Literal["log-linear"] = "log-linear"


def fit_log_linear(mixtures: Array, losses: Array) -> Predictor:
    """The log-linear law for mixtures (n, d) and losses (n, m), from several starts, penalties by leave-one-out."""
    d, targets = mixtures.shape[1], losses.T
    lowest, scales = targets.min(axis=1), np.array([robust_scale(target) for target in targets])
    is_positive = lowest > 0

    def grown(points: Array, p: Array) -> Array:
        return np.exp(np.clip(p[:, :d] @ points.T, -50, 50))

    def model(p: Array) -> tuple[Array, Array]:
        """Values (k, n) and Jacobian (k, n, d + 1) by the parameters (t, c)."""
        rising = grown(mixtures, p)[..., None]
        slopes = np.concatenate([rising * mixtures, np.ones_like(rising)], axis=2)
        return p[:, d, None] + rising[..., 0], slopes

    with threadpool_limits(limits=1):  # with more, sums round differently from machine to machine
        starts = []
        for floor in FLOORS:
            c = np.where(is_positive, floor * lowest, lowest - scales)
            logs = np.log(targets - c[:, None] + 1e-3 * scales[:, None])
            mean = logs.mean(axis=1, keepdims=True)
            ridge = mixtures.T @ mixtures + 1e-2 * np.eye(d)
            flat = np.linalg.solve(ridge, mixtures.T @ (logs - mean).T).T
            starts.append(np.column_stack([flat + mean, c]))
        bounds = np.tile([-np.inf, np.inf], (len(targets), d + 1, 1))
        bounds[:, d, 0] = np.where(is_positive, 0.0, -np.inf)
        spread = np.zeros((d, d + 1))
        spread[:, :d] = np.eye(d) - 1 / d
        problem = Penalised(model, targets, np.ones(targets.shape), scales, spread, bounds)
        p, penalties = best_penalised(problem, starts)
    about = {"penalties": penalties.tolist()}
    return Predictor(lambda points: (p[:, d, None] + grown(points, p)).T, True, about)


LAW = Law(
    settings=LogLinearSettings,
    title="log-linear (Olmix)",
    line="an exponential of the weights above a floor",
    paper="arXiv 2602.12237",
    equation="loss_k = c_k + exp(t_k'w)",
    fit=fit_log_linear,
)
