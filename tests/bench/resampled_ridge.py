"""Ridge with every model of every resample left out, all its copies together and the scaling fitted anew.

In a resample model i stands w_i times. Without it the centred Gram matrix G of the others is a rank-one
downdate of that of all, the fold's variances are diag(G) / n', and the prediction of the model at x is

    m' + v' C,   (G + (a / n') diag G) v = x - mean,   C = centred scores' ratings of the others,

the ridge of scikit-learn (penalty a on standardised scores, intercept free) written in the scores' own units.
Only v is solved for, one right-hand side a fold for any number of targets: by conjugate gradients for all
folds of a resample at once, preconditioned with the Cholesky factor of the matrix of all models, from which a fold's
differs by rank one and a small diagonal. A resample whose residuals do not come down is solved directly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

Array = NDArray[np.float64]
TOLERANCE = 1e-12
MOST_ROUNDS = 60
CONSTANT = 1e-12


def left_out_predictions(scores: Array, ratings: Array, weights: Array, alpha: float) -> Array:
    """Predictions (R, n, T) of each model by the ridge on the others of each resample; NaN where w_i = 0.

    scores (n, p) and ratings (n, T), complete; weights (R, n), whole numbers of copies; alpha > 0. A benchmark
    that does not vary in a fold has no weight there. Raises ValueError for shapes that do not fit and for a
    resample with fewer than two other models.
    """
    if len(scores) != len(ratings) or weights.ndim != 2 or weights.shape[1] != len(scores):
        raise ValueError(
            f"scores {scores.shape}, ratings {ratings.shape}, weights {weights.shape}: must be (n, p), (n, T), (R, n)"
        )
    if not (np.isfinite(scores).all() and np.isfinite(ratings).all()):
        raise ValueError("scores and ratings must be complete; fill or leave out missing cells first")
    if not alpha > 0:
        raise ValueError(f"alpha={alpha:g}: must be above 0")
    if ((weights > 0).sum(1) < 3).any():
        raise ValueError(
            "a resample has fewer than three different models: nothing to predict the left-out one from"
        )
    # About the means of all, so that what is downdated is of the size of the deviations.
    x, y = scores - scores.mean(0), ratings - ratings.mean(0)
    deviation = x.std(0)
    x = x / np.where(deviation > 0, deviation, 1)
    found = np.full((len(weights), *ratings.shape), np.nan)
    for r, row in enumerate(weights):
        drawn = np.flatnonzero(row > 0)
        found[r, drawn] = _one_resample(x[drawn], y[drawn], row[drawn].astype(float), alpha) + ratings.mean(0)
    return found


def _one_resample(x: Array, y: Array, w: Array, alpha: float) -> Array:
    total = w.sum()
    mean_x, mean_y = w @ x / total, w @ y / total
    x, y = x - mean_x, y - mean_y
    weighted = w[:, None] * x
    gram, cross = x.T @ weighted, weighted.T @ y
    rest = total - w
    share = w * total / rest
    squares = np.diag(gram)[:, None] - x.T**2 * share
    squares = np.where(squares > CONSTANT * np.diag(gram)[:, None], squares, 0.0)
    penalty = alpha * squares / rest
    target = x.T * (total / rest)
    dead = squares == 0
    penalty[dead] = 1.0
    if dead.any():
        solved = _directly(gram, x, share, penalty, target, dead)
    else:
        solved = _by_gradients(gram, x, share, penalty, target, alpha, total)
    # Without i: mean -w_i y_i / rest, cross products C - share_i x_i y_i'.
    inner = np.einsum("pf,fp->f", solved, x)
    return mean_y - (w / rest)[:, None] * y + solved.T @ cross - (share * inner)[:, None] * y


def _by_gradients(
    gram: Array, x: Array, share: Array, penalty: Array, target: Array, alpha: float, total: float
) -> Array:
    factor = cho_factor(gram + alpha / total * np.diag(np.diag(gram)), lower=True, check_finite=False)
    inverse = cho_solve(factor, np.eye(len(gram)), check_finite=False)
    columns = x.T
    # The downdate by rank one in the preconditioner, exactly (Sherman and Morrison 1950).
    back = inverse @ columns
    gain = share / np.maximum(1 - share * np.einsum("pf,pf->f", columns, back), 1e-12)

    def preconditioned(residual: Array) -> Array:
        return inverse @ residual + back * (gain * np.einsum("pf,pf->f", back, residual))

    def applied(v: Array) -> Array:
        return gram @ v - columns * (share * np.einsum("pf,pf->f", columns, v)) + penalty * v

    solution = preconditioned(target)
    residual = target - applied(solution)
    z = preconditioned(residual)
    direction = z
    height = np.einsum("pf,pf->f", residual, z)
    enough = TOLERANCE * np.linalg.norm(target, axis=0)
    for _ in range(MOST_ROUNDS):
        if (np.linalg.norm(residual, axis=0) <= enough).all():
            return solution
        image = applied(direction)
        curvature = np.einsum("pf,pf->f", direction, image)
        step = np.divide(height, curvature, out=np.zeros_like(height), where=curvature > 0)
        solution = solution + step * direction
        residual = residual - step * image
        z = preconditioned(residual)
        new_height = np.einsum("pf,pf->f", residual, z)
        direction = z + np.divide(new_height, height, out=np.zeros_like(height), where=height > 0) * direction
        height = new_height
    return _directly(gram, x, share, penalty, target, np.zeros_like(penalty, dtype=bool))


def _directly(
    gram: Array, x: Array, share: Array, penalty: Array, target: Array, dead: NDArray[np.bool_]
) -> Array:
    matrices = gram - share[:, None, None] * x[:, :, None] * x[:, None, :]
    alive = (~dead.T).astype(float)
    matrices *= alive[:, :, None] * alive[:, None, :]
    diagonal = np.arange(len(gram))
    matrices[:, diagonal, diagonal] += penalty.T
    return np.linalg.solve(matrices, (target.T * alive)[:, :, None])[:, :, 0].T
