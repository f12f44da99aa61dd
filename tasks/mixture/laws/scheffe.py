"""Scheffe's quadratic for mixture experiments (Scheffe 1958): what sources do alone, and what pairs do together.

    loss_k = sum_i b_ki w_i + sum_{i<j} c_kij w_i w_j

fitted as a ridge regression, the penalty of each loss by exact leave-one-out error: of d sources there are
d (d + 1) / 2 terms, mostly more than runs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law
from tasks.mixture.laws.predictor import Predictor
from tasks.mixture.laws.ridge import fit_ridge
from tasks.mixture.solver.capped_simplex import Array


class ScheffeSettings(MethodSettings):
    """The law scheffe has no settings."""

    method: Literal["scheffe"] = "scheffe"


def fit_scheffe(mixtures: Array, losses: Array) -> Predictor:
    """The quadratic for mixtures (n, d) and losses (n, m)."""
    linear = fit_ridge(_terms(mixtures), losses)
    return Predictor(lambda points: linear.predict(_terms(points)), True, linear.about)


def _terms(mixtures: Array) -> Array:
    """Weights and their products in pairs (n, d (d + 1) / 2); a product is at most 1/4, hence the factor of 4."""
    first, second = np.triu_indices(mixtures.shape[1], k=1)
    return np.concatenate([mixtures, 4 * mixtures[:, first] * mixtures[:, second]], axis=1)


LAW = Law(
    settings=ScheffeSettings,
    title="Scheffe quadratic",
    line="a quadratic in the weights: sources alone and in pairs",
    paper="Scheffe 1958, Experiments with mixtures",
    equation="loss_k = sum_i b_ki w_i + sum_{i<j} c_kij w_i w_j",
    fit=fit_scheffe,
)
