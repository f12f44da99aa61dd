"""Ridge regression: loss_k = b_k + a_k'w, minimising squared error + penalty * |a_k|^2."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law
from tasks.mixture.laws.predictor import Predictor
from tasks.mixture.solver.capped_simplex import Array

PENALTIES = np.logspace(-6, 3, 28)


class RidgeSettings(MethodSettings):
    """The law ridge has no settings."""

    method: Literal["ridge"] = "ridge"


def fit_ridge(mixtures: Array, losses: Array) -> Predictor:
    """Ridge for mixtures (n, d) and losses (n, m); the penalty of each loss by exact leave-one-out error."""
    centre = mixtures.mean(axis=0)
    left, singular, right = np.linalg.svd(mixtures - centre, full_matrices=False)
    mean = losses.mean(axis=0)
    slopes, chosen = [], []
    for k in range(losses.shape[1]):
        target = losses[:, k] - mean[k]
        along = left.T @ target
        errors = [_leave_one_out(left, singular, along, target, penalty) for penalty in PENALTIES]
        penalty = float(PENALTIES[int(np.argmin(errors))])
        slopes.append(right.T @ (singular / (singular**2 + penalty) * along))
        chosen.append(penalty)
    matrix = np.column_stack(slopes)
    return Predictor(lambda points: mean + (points - centre) @ matrix, True, {"penalties": chosen})


def _leave_one_out(left: Array, singular: Array, along: Array, target: Array, penalty: float) -> float:
    shrunk = singular**2 / (singular**2 + penalty)
    leverage = left**2 @ shrunk + 1 / len(target)
    errors = (target - left @ (shrunk * along)) / np.maximum(1 - leverage, 1e-9)
    return float(errors @ errors)


LAW = Law(
    settings=RidgeSettings,
    title="ridge",
    line="linear in the weights",
    paper="Hoerl and Kennard 1970",
    equation="loss_k = b_k + a_k'w",
    fit=fit_ridge,
)
