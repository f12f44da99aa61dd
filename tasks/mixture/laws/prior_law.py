"""The law `fusion`: utilities as the prior of a Gaussian process, which 0 to N runs then correct.

    loss_k(w) = m_k + s_k * ( sum_j b_kj z_j(w) + f_k(sqrt w) + noise ),    b_kj ~ N(1/(2J), 1/4),  f_k a process

z_1: the objective of UtiliMax (Held et al. 2025, arXiv 2501.11747), ||1 - U'w|| + d * |w|^2, in units of its
spread over random mixtures. Where all losses are tasks of the utility table by name, z_2 is what w lacks for
that task, 1 - U_k'w. m and s: mean and spread of the runs' losses. Without runs what is left is the prior
mean: mixtures are ranked by utility alone. With many, the process (see `gaussian_process`) follows the runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tasks.mixture.laws.gaussian_process import JITTER, MOST_RUNS, kernel, posterior_mode, square_roots
from tasks.mixture.laws.predictor import Column, Predictor, for_each_loss, robust_scale, stacked
from tasks.mixture.solver.capped_simplex import Array

SLOPE, SLOPE_VARIANCE, LEVEL_VARIANCE = 0.5, 0.25, 1.0
REFERENCE = 2000
RUNS_FOR_SCALE = 2


def fit_fusion(mixtures: Array, losses: Array, utility: Array, own: Sequence[int] = ()) -> Predictor:
    """The law for mixtures (n, d), losses (n, m), n from 0, and utility (d, T). own: the task of each loss, or none."""
    prior = [_prior_features(utility, own[k] if own else None) for k in range(losses.shape[1])]
    columns = for_each_loss(lambda k: _one(mixtures, losses[:, k], prior[k]), losses.shape[1])
    units = (
        "losses"
        if len(mixtures) >= RUNS_FOR_SCALE
        else "spreads of the UtiliMax objective over random mixtures"
    )
    return Predictor(
        stacked(columns), True, {"prior": "UtiliMax objective", "own_tasks": bool(own), "units": units}
    )


def portfolio_objective(mixtures: Array, utility: Array) -> Array:
    """||1 - U'w||_2 + d * ||w||_2^2 of mixtures (n, d): small is good."""
    d = utility.shape[0]
    return np.linalg.norm(1 - mixtures @ utility, axis=1) + d * (mixtures**2).sum(axis=1)


def _prior_features(utility: Array, own: int | None) -> Column:
    """Mixtures (n, d) to features (n, J), each with mean 0 and spread 1 over random mixtures."""

    def raw(mixtures: Array) -> Array:
        columns = [portfolio_objective(mixtures, utility)]
        if own is not None:
            columns.append(1 - mixtures @ utility[:, own])
        return np.column_stack(columns)

    # Drawn in an order that depends on the utilities alone: no name and no position shows in the result.
    order = np.lexsort(utility.T[::-1])
    drawn = np.empty((REFERENCE, len(utility)))
    drawn[:, order] = np.random.default_rng(0).dirichlet(np.full(len(utility), 0.5), REFERENCE)
    reference = raw(drawn)
    centre, spread = reference.mean(axis=0), reference.std(axis=0)
    spread = np.where(spread > 1e-12, spread, 1.0)
    return lambda mixtures: (raw(mixtures) - centre) / spread


def _one(mixtures: Array, target: Array, features: Column) -> Column:
    n = len(mixtures)

    def expected(points: Array) -> Array:
        return SLOPE * features(points).mean(axis=1)

    if n < RUNS_FOR_SCALE:
        level = float(target.mean()) if n else 0.0
        return lambda points: level + expected(points)
    level, scale = float(target.mean()), robust_scale(target)
    raw = square_roots(mixtures)
    centre, spread = raw.mean(axis=0), raw.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    x = (raw - centre) / spread
    z = features(mixtures)
    y = (target - level) / scale - expected(mixtures)
    known = SLOPE_VARIANCE * z @ z.T + LEVEL_VARIANCE
    chosen = np.random.default_rng(0).permutation(n)[:MOST_RUNS]
    p = posterior_mode(x[chosen], y[chosen], known[np.ix_(chosen, chosen)])
    covariance = kernel(p, x, x) + known
    covariance[np.diag_indices(n)] += math.exp(2 * p[-2]) + JITTER
    coefficients = np.linalg.solve(covariance, y)

    def column(points: Array) -> Array:
        inputs = (square_roots(points) - centre) / spread
        shared = kernel(p, inputs, x) + SLOPE_VARIANCE * features(points) @ z.T + LEVEL_VARIANCE
        return level + scale * (expected(points) + shared @ coefficients)

    return column
