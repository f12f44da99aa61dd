"""What utilities, or losses of proxies on one source each, say of the curves: draws from the posterior.

A utility U_ij in [0, 1] is known with its standard error s_ij. Before it was looked at, utilities spread about the
task's mean by a part that a source has for all tasks and a part of the cell's own,

    U_ij = mean_j + r_i + x_ij,    r_i ~ N(0, .005),    x_ij ~ N(0, .15).

At the corners of RegMix's table these variances are .011 and .050, on SlimPajama's .025 and .100. The cell's own is
taken larger, since it is far from normal: a domain serves its own task far better than its mean tells, and an
estimate that shrinks this away drops what nothing replaces. The posterior of a source's row is normal; a further error
of a tenth of the spread stands for what the form of the curves leaves out. Losses v_ij are utilities of a known range:
v = best + (worst - best)(1 - U). Of utilities alone the range is unknown: v = 1 + s_j (1 - U), s_j between .3 and
10. The shape is drawn from ranges that hold what a law with diminishing returns finds on both tables, from 1M to 937M
parameters: a .07 to .5, b .5 to .85, and E .3 to .9 of the least loss.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tasks.mixture.returns.curves import Curves
from tasks.mixture.solver.capped_simplex import Array

SOURCE_VARIANCE, CELL_VARIANCE = 0.005, 0.15
FORM_ERROR = 0.1
EXPONENTS, CURVATURES, FLOORS, RANGES = (0.07, 0.5), (0.5, 0.85), (0.3, 0.9), (0.3, 10.0)
MOST_DRAWS, FEWEST_DRAWS, MOST_CELLS = 256, 64, 4_000_000
SMALLEST = 1e-3


def curves_of_utilities(values: Array, errors: Array) -> Curves:
    """Curves from utilities (d, T) in [0, 1] and their standard errors; losses in units of the best source's."""
    random = np.random.default_rng(0)
    drawn = _utilities(values, errors, random)
    spans = _log_uniform(random, RANGES, (len(drawn), 1, values.shape[1]))
    return replace(_curves(1 + spans * (1 - drawn), np.ones(values.shape[1]), random), measured=False)


def curves_of_losses(losses: Array, errors: Array) -> Curves:
    """Curves from losses (d, T), above 0, of proxies on one source each, and their standard errors."""
    random = np.random.default_rng(0)
    best, worst = losses.min(axis=0), losses.max(axis=0)
    span = np.where(worst > best, worst - best, 1.0)
    drawn = _utilities((worst - losses) / span, errors / span, random)
    return _curves(best + span * (1 - drawn), best, random)


def _utilities(values: Array, errors: Array, random: np.random.Generator) -> Array:
    """Draws (M, d, T) of what the utilities are."""
    d, num_tasks = values.shape
    num = int(np.clip(MOST_CELLS // (d * num_tasks), FEWEST_DRAWS, MOST_DRAWS))
    prior = SOURCE_VARIANCE + CELL_VARIANCE * np.eye(num_tasks)
    mean = values.mean(axis=0)
    drawn = np.empty((num, d, num_tasks))
    for i in range(d):
        gain = prior @ np.linalg.inv(prior + np.diag(np.maximum(errors[i] ** 2, 1e-10)))
        covariance = prior - gain @ prior
        sizes, axes = np.linalg.eigh((covariance + covariance.T) / 2)
        spread = (axes * np.sqrt(np.maximum(sizes, 0.0))).T
        drawn[:, i] = mean + gain @ (values[i] - mean) + random.standard_normal((num, num_tasks)) @ spread
    form = FORM_ERROR * np.sqrt(SOURCE_VARIANCE + CELL_VARIANCE)
    return drawn + form * random.standard_normal(drawn.shape)


def _log_uniform(random: np.random.Generator, between: tuple[float, float], shape: tuple[int, ...]) -> Array:
    low, high = between
    return low * (high / low) ** random.random(shape)


def _curves(losses: Array, best: Array, random: np.random.Generator) -> Curves:
    """losses (M, d, T) at the corners; best (T,): what was seen as the least."""
    num, _, num_tasks = losses.shape
    exponent = _log_uniform(random, EXPONENTS, (num, 1))
    curvature = random.uniform(*CURVATURES, (num, 1))
    floor = random.uniform(*FLOORS, (num, 1)) * np.clip(losses.min(axis=1), 0.05 * best, best)
    return Curves(
        reducible=np.log(np.maximum(losses - floor[:, None, :], SMALLEST * best)),
        exponent=np.repeat(exponent, num_tasks, axis=1),
        curvature=np.repeat(curvature, num_tasks, axis=1),
        floor=floor,
        worth=np.full(num_tasks, 1 / num_tasks),
    )
