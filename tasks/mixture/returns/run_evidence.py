"""What a swarm of runs says of the curves: draws from the posterior of shape and usefulness.

For a task with losses y_n of mixtures w_n (`curves` has the law),

    y_n = L(w_n) + noise,    noise ~ N(0, (sigma spread)^2),    u_i = log(v_i - E) = level + N(0, tau^2),

the shape (log a, E over the least loss, log b, log tau, log sigma) is sampled by importance: for each of a number of
shapes the u are fitted by damped least squares, all at once, and Laplace's approximation gives the shape's evidence.
Three times the shapes are drawn anew from what the round before found, wider by 14%; and the prior of a task's shape
becomes what all tasks have in common, never tighter than a third of the first one (a hierarchical prior by its own
estimates). From Laplace's normal the u go on to their posterior by elliptical slices: of a source that the runs show
to be of no use the losses say that it is not useful, but nothing of how useless, which no normal has.

tau small says that sources are alike: with few runs the sources' differences shrink to what the runs show. spread:
robust standard deviation of the losses, times sqrt(1 + d / n): of fewer runs than sources the curves fit the noise
too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.mixture.laws.predictor import robust_scale
from tasks.mixture.returns.curves import Curves, powered
from tasks.mixture.returns.slice_sampling import elliptical_slices
from tasks.mixture.solver.capped_simplex import Array

# log a, E over the least loss, log b, log tau, log sigma: means and deviations on the tables of `cell_evidence`.
PRIOR_MEAN = np.array([np.log(0.19), 0.5, np.log(0.66), np.log(0.4), np.log(0.1)])
PRIOR_DEVIATION = np.array([0.6, 0.35, 0.18, 0.7, 0.6])
TIGHTEST = 0.35
ROUNDS = 4
MOST_SHAPES, FEWEST_SHAPES, MOST_CELLS = 128, 48, 600_000
FEWEST_EFFECTIVE = 15
WIDENING = 1.3
LEAST_SQUARES_STEPS = 10
FEWEST_RUNS = 4
SLICES = 30


@dataclass(frozen=True)
class _Sample:
    """Shapes drawn for a task, the most likely u (M, d), Laplace's covariance (M, d, d) and the weights (M,), sum 1."""

    shapes: Array
    u: Array
    covariance: Array
    weights: Array


def curves_of_runs(mixtures: Array, losses: Array) -> Curves:
    """Curves from mixtures (n, d) and losses (n, T) above 0. ValueError for fewer than four runs."""
    n, d = mixtures.shape
    if n < FEWEST_RUNS:
        raise ValueError(f"{n} runs: at least {FEWEST_RUNS} are needed")
    random = np.random.default_rng(0)
    num, num_tasks = int(np.clip(MOST_CELLS // (n * d), FEWEST_SHAPES, MOST_SHAPES)), losses.shape[1]
    scales = [robust_scale(column) * np.sqrt(1 + d / n) for column in losses.T]
    mean, covariance = PRIOR_MEAN, np.diag(PRIOR_DEVIATION**2)
    proposals = [(mean, covariance)] * num_tasks
    samples: list[_Sample] = []
    for _ in range(ROUNDS):
        samples = [
            _sampled(
                mixtures, losses[:, k], scales[k], random.multivariate_normal(*proposals[k], num), density
            )
            for k in range(num_tasks)
            for density in [(mean, covariance, *proposals[k])]
        ]
        moments = [_moments(sample) for sample in samples]
        proposals = [(m, WIDENING * c + 1e-3 * np.eye(len(m))) for m, c in moments]
        means = np.array([m for m, _ in moments])
        between = means.var(axis=0, ddof=1) if num_tasks > 1 else PRIOR_DEVIATION**2
        mean = means.mean(axis=0)
        covariance = np.diag(np.clip(between, (TIGHTEST * PRIOR_DEVIATION) ** 2, PRIOR_DEVIATION**2))
    return _drawn(samples, mixtures, losses, scales, random)


def _drawn(
    samples: list[_Sample], mixtures: Array, losses: Array, scales: list[float], random: np.random.Generator
) -> Curves:
    num, d = samples[0].u.shape
    reducible = np.empty((num, d, len(samples)))
    shapes = np.empty((num, len(PRIOR_MEAN), len(samples)))
    for k, sample in enumerate(samples):
        chosen = random.choice(num, num, p=sample.weights)
        shapes[:, :, k] = _bounded(sample.shapes[chosen])
        posterior = _Posterior.of(mixtures, losses[:, k], scales[k], shapes[:, :, k])
        reducible[:, :, k] = elliptical_slices(
            sample.u[chosen],
            sample.covariance[chosen],
            posterior.log_density,
            SLICES,
            random,
        )
    return Curves(
        reducible=reducible,
        exponent=np.exp(shapes[:, 0]),
        curvature=np.exp(shapes[:, 2]),
        floor=shapes[:, 1] * losses.min(axis=0),
        worth=np.full(len(samples), 1 / len(samples)),
    )


def _bounded(shapes: Array) -> Array:
    """b at most 1, E below the least loss."""
    kept = shapes.copy()
    kept[:, 2], kept[:, 1] = np.minimum(kept[:, 2], 0.0), np.minimum(kept[:, 1], 0.98)
    return kept


def _moments(sample: _Sample) -> tuple[Array, Array]:
    """Mean and covariance of the shapes, tempered until at least so many count."""
    logs, heat = np.log(sample.weights + 1e-300), 1.0
    while True:
        tempered = np.exp((logs - logs.max()) / heat)
        tempered /= tempered.sum()
        if 1 / (tempered**2).sum() >= FEWEST_EFFECTIVE:
            break
        heat *= WIDENING
    mean = tempered @ sample.shapes
    away = sample.shapes - mean
    return mean, away.T @ (away * tempered[:, None])


def _sampled(
    mixtures: Array, target: Array, scale: float, shapes: Array, density: tuple[Array, Array, Array, Array]
) -> _Sample:
    """density: mean and covariance of the prior, and of what the shapes were drawn from."""
    prior_mean, prior_covariance, drawn_mean, drawn_covariance = density
    u, precision, evidence = _fitted(_Posterior.of(mixtures, target, scale, _bounded(shapes)))
    logs = evidence + _log_normal(shapes, prior_mean, prior_covariance)
    logs -= _log_normal(shapes, drawn_mean, drawn_covariance)
    weights = np.exp(logs - logs.max())
    return _Sample(shapes, u, np.asarray(np.linalg.inv(precision), float), weights / weights.sum())


def _log_normal(points: Array, mean: Array, covariance: Array) -> Array:
    away = points - mean
    return -0.5 * np.einsum("mi,ij,mj->m", away, np.linalg.inv(covariance), away)


@dataclass(frozen=True)
class _Posterior:
    """That of u (M, d) for M shapes: shares (M, n, d) are the mixtures to the power b, target (n,) the losses.

    The level of u is free but for a wide prior.
    """

    shares: Array
    target: Array
    exponent: Array
    floor: Array
    tau: Array
    sigma: Array

    @classmethod
    def of(cls, mixtures: Array, target: Array, scale: float, shapes: Array) -> _Posterior:
        """For shapes (M, 5) within their bounds; scale: the spread that log sigma counts in."""
        a, b, tau, sigma = np.exp(shapes[:, [0, 2, 3, 4]]).T
        shares = powered(mixtures[None], b[:, None, None])[0]
        return cls(shares, target, a, shapes[:, 1] * target.min(), tau, sigma * scale)

    @cached_property
    def level(self) -> Array:
        return np.asarray(np.log(np.maximum(self.target.mean() - self.floor, 1e-9)) + 0.3)

    @cached_property
    def prior(self) -> Array:
        """Precision (M, d, d) before any loss is seen."""
        d = self.shares.shape[2]
        return np.asarray((np.eye(d) - 1 / d) / self.tau[:, None, None] ** 2 + 1e-2 / d**2)

    def at(self, u: Array) -> tuple[Array, Array, Array]:
        """Errors (M, n), their Jacobian by u, and -2 log of the posterior's density (M,) but for a constant."""
        least = u.min(axis=1)
        terms = self.shares * np.exp(-(u - least[:, None]) / self.exponent[:, None])[:, None, :]
        total = np.maximum(terms.sum(axis=2), 1e-300)
        power = np.exp(least)[:, None] * total ** -self.exponent[:, None]
        error = self.floor[:, None] + power - self.target
        away = u - self.level[:, None]
        cost = (error**2).sum(axis=1) / self.sigma**2 + np.einsum("mi,mij,mj->m", away, self.prior, away)
        return error, power[:, :, None] * terms / total[:, :, None], cost

    def log_density(self, u: Array) -> Array:
        """Of points (M, d), but for a constant: (M,)."""
        return -0.5 * self.at(u)[2]


def _fitted(posterior: _Posterior) -> tuple[Array, Array, Array]:
    """u (M, d) of least squares for each shape, the precision (M, d, d) there and the log evidence (M,)."""
    num, n, d = posterior.shares.shape
    level, prior, sigma, tau = posterior.level, posterior.prior, posterior.sigma, posterior.tau
    u = np.repeat(level[:, None], d, axis=1)
    where = np.arange(d)

    def normal(jacobian: Array) -> Array:
        return np.matmul(jacobian.transpose(0, 2, 1), jacobian) / sigma[:, None, None] ** 2 + prior

    error, jacobian, cost = posterior.at(u)
    damping = np.full(num, 1e-3)
    for _ in range(LEAST_SQUARES_STEPS):
        precision = normal(jacobian)
        slope = np.einsum("mni,mn->mi", jacobian, error) / sigma[:, None] ** 2
        slope += np.einsum("mij,mj->mi", prior, u - level[:, None])
        damped = precision.copy()
        damped[:, where, where] *= 1 + damping[:, None]
        tried = u - np.clip(np.linalg.solve(damped, slope[:, :, None])[:, :, 0], -1.5, 1.5)
        new_error, new_jacobian, new_cost = posterior.at(tried)
        better = new_cost < cost
        settled = bool(np.all(cost - new_cost < 1e-4 * cost) and better.mean() > 0.9)
        u[better], error[better], jacobian[better] = tried[better], new_error[better], new_jacobian[better]
        cost = np.where(better, new_cost, cost)
        damping = np.where(better, damping / 5, damping * 5)
        if settled:
            break
    precision = normal(jacobian)
    prior_sizes = -2 * (d - 1) * np.log(tau)
    evidence = -0.5 * (cost + 2 * n * np.log(sigma) + np.linalg.slogdet(precision)[1] - prior_sizes)
    return u, precision, evidence
