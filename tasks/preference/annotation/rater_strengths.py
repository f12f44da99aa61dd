"""Strengths of models when raters differ in how far they can be relied on.

    P(a wins | rater k) = 1 / (1 + exp(-a_k (s_a - s_b))),    s ~ N(0, 3^2),    log a_k ~ N(0, .5^2)

a tie counts as half a win of each. Bradley-Terry with a discrimination a rater, as am-ELO (arXiv 2505.03475) and
judge-aware Bradley-Terry-Luce (arXiv 2601.21817) have it; a rater who votes by lot gets a_k near 0 and moves nothing.
Posterior mode by L-BFGS; the errors of s are Laplace's, with the raters' discriminations uncertain too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Array = NDArray[np.float64]
STRENGTH_DEVIATION, LOG_DEVIATION = 3.0, 0.5
ELO = 400 / np.log(10)


@dataclass(frozen=True)
class RaterStrengths:
    """strengths (models,) in Elo, mean 0, and their errors; reliance (raters,): a, 1 for the usual one, and errors of
    log a."""

    strengths: Array
    errors: Array
    reliance: Array
    log_errors: Array


def fit(pairs: NDArray[np.int_], raters: NDArray[np.int_], wins: NDArray[Any]) -> RaterStrengths:
    """pairs (n, 2): models; raters (n,); wins (n,): 1 where the first won, 0 the second, .5 a tie.

    Raises ValueError where the search does not settle.
    """
    models, judges = int(pairs.max()) + 1, int(raters.max()) + 1
    first, second = pairs.T

    def posterior(theta: Array) -> tuple[float, Array]:
        s, log_a = theta[:models], theta[models:]
        a = np.exp(log_a)
        apart = s[first] - s[second]
        logit = a[raters] * apart
        value = np.logaddexp(0, logit).sum() - (wins * logit).sum()
        residual = expit(logit) - wins
        slope = np.zeros_like(theta)
        np.add.at(slope, first, residual * a[raters])
        np.add.at(slope, second, -residual * a[raters])
        np.add.at(slope, models + raters, residual * logit)
        value += (s**2).sum() / 2 / STRENGTH_DEVIATION**2 + (log_a**2).sum() / 2 / LOG_DEVIATION**2
        slope[:models] += s / STRENGTH_DEVIATION**2
        slope[models:] += log_a / LOG_DEVIATION**2
        return float(value), slope

    found = minimize(
        posterior, np.zeros(models + judges), jac=True, method="L-BFGS-B", options={"maxiter": 5000}
    )
    if not found.success:
        raise ValueError(f"strengths with raters did not settle: {found.message}")
    covariance = np.linalg.inv(_curvature(posterior, found.x))
    centred = np.eye(models) - 1 / models
    spread = centred @ covariance[:models, :models] @ centred
    return RaterStrengths(
        strengths=ELO * centred @ found.x[:models],
        errors=ELO * np.sqrt(np.diag(spread)),
        reliance=np.exp(found.x[models:]),
        log_errors=np.sqrt(np.diag(covariance)[models:]),
    )


def _curvature(posterior: Callable[[Array], tuple[float, Array]], at: Array) -> Array:
    """The Hessian by central differences of the gradient."""
    step = 1e-5
    rows = []
    for place in range(len(at)):
        moved = np.zeros_like(at)
        moved[place] = step
        rows.append((posterior(at + moved)[1] - posterior(at - moved)[1]) / (2 * step))
    hessian = np.array(rows)
    return np.asarray((hessian + hessian.T) / 2, float)
