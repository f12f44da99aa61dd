"""The log-linear law of Olmix (arXiv 2602.12237), fitted with Huber's loss: loss_k = c_k + exp(t_k'w), c_k >= 0.

No intercept inside exp: the weights sum to 1, so that t_k takes it up.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law
from tasks.mixture.laws.least_squares import Penalised, best_penalised
from tasks.mixture.laws.predictor import Column, Predictor, for_each_loss, robust_scale, stacked
from tasks.mixture.solver.capped_simplex import Array

FLOORS = (0.3, 0.9)


class LogLinearSettings(MethodSettings):
    """The law log-linear has no settings."""

    method: Literal["log-linear"] = "log-linear"


def fit_log_linear(mixtures: Array, losses: Array) -> Predictor:
    """The log-linear law for mixtures (n, d) and losses (n, m), from several starts, penalties by leave-one-out."""
    fitted = for_each_loss(lambda k: _log_linear(mixtures, losses[:, k]), losses.shape[1], in_threads=False)
    about = {"penalties": [penalty for _, penalty in fitted]}
    return Predictor(stacked([column for column, _ in fitted]), True, about)


def _log_linear(mixtures: Array, target: Array) -> tuple[Column, float]:
    d = mixtures.shape[1]
    lowest, scale = float(target.min()), robust_scale(target)

    def model(p: Array) -> tuple[Array, Array]:
        grown = np.exp(np.clip(mixtures @ p[:d], -50, 50))
        return p[d] + grown, np.column_stack([grown[:, None] * mixtures, np.ones(len(grown))])

    starts = []
    for floor in FLOORS:
        c = floor * lowest if lowest > 0 else lowest - scale
        logs = np.log(target - c + 1e-3 * scale)
        flat = np.linalg.solve(mixtures.T @ mixtures + 1e-2 * np.eye(d), mixtures.T @ (logs - logs.mean()))
        starts.append(np.append(flat + logs.mean(), c))
    bounds = np.array([[-np.inf, np.inf]] * d + [[0.0 if lowest > 0 else -np.inf, np.inf]])
    spread = np.zeros((d, d + 1))
    spread[:, :d] = np.eye(d) - 1 / d
    problem = Penalised(model, target, scale, spread, bounds)
    p, penalty = best_penalised(problem, starts)
    return lambda points: p[d] + np.exp(np.clip(points @ p[:d], -50, 50)), penalty


LAW = Law(
    settings=LogLinearSettings,
    title="log-linear (Olmix)",
    line="an exponential of the weights above a floor",
    paper="arXiv 2602.12237",
    equation="loss_k = c_k + exp(t_k'w)",
    fit=fit_log_linear,
)
