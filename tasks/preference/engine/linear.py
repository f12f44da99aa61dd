"""Linear regressions of many targets at once on benchmarks that are filled and scaled on the training models.

With Z (n, p) the standardised scores (holes filled with the training mean) and Y (n, T) the centred ratings:

    min-norm     B = pinv(Z) Y, the over-parameterised regression of Schaeffer et al. 2025 (arXiv 2502.18339)
    ridge        B = (Z'Z + a I)^-1 Z'Y, for each target the a of least exact leave-one-out error
    pls          partial least squares of each target (Wold 1966), number of components by held-out folds
    pcr          regression on the first principal components of Z, their number likewise
    elastic-net  scikit-learn's ElasticNetCV of each target
    single       for each target the one benchmark of least leave-one-out error; a baseline
    mean         no benchmark; a baseline
    log-params   least squares on log parameters (unknown ones: the mean); a baseline

Everything that is chosen is chosen among the training models, so a model that is left out takes no part in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tasks.pseudo_inverse import pseudo_inverse

Array = NDArray[np.float64]
Groups = NDArray[np.intp]
ALPHAS = np.logspace(-2, 4, 25)
MOST_COMPONENTS = 6
INNER_FOLDS = 5


def standardise(train: Array, new: Array) -> tuple[Array, Array]:
    """train (n, p) and new (m, p), NaN where missing -> both centred, scaled and filled by the training models."""
    known = np.isfinite(train)
    count = np.maximum(known.sum(0), 1)
    centre = np.where(known, train, 0).sum(0) / count
    centred = np.where(known, train - centre, 0)
    rounding = (
        centred.sum(0) / count
    )  # of the centre; of columns that vary little, it would be a direction of its own
    centred = np.where(known, centred - rounding, 0)
    spread = np.sqrt((centred**2).sum(0) / len(train))
    usable = spread > 1e-12 * np.maximum(1, np.abs(centre))
    scale = np.where(usable, spread, 1)
    others = np.where(np.isfinite(new), new - centre - rounding, 0)
    return np.where(usable, centred / scale, 0), np.where(usable, others / scale, 0)


def coefficients(method: str, z: Array, y: Array, groups: Groups) -> Array:
    """B (p, T) of centred y (n, T) on standardised z (n, p); groups (n,) are left out together where folds choose."""
    if method not in SOLVERS:
        raise ValueError(f"method={method!r}: allowed are {sorted(SOLVERS)}")
    return SOLVERS[method](z, y, groups)


def _mean(z: Array, y: Array, groups: Groups) -> Array:
    return np.zeros((z.shape[1], y.shape[1]))


def _min_norm(z: Array, y: Array, groups: Groups) -> Array:
    return pseudo_inverse(z) @ y


def _ridge(z: Array, y: Array, groups: Groups) -> Array:
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    inner = u.T @ y
    shrink = s**2 / (s**2 + ALPHAS[:, None])
    free = 1 - 1 / len(y) - shrink @ (u**2).T
    residual = y - u @ (shrink[:, :, None] * inner)
    errors = _left_out_squares(residual, free[:, :, None])
    alphas = ALPHAS[errors.argmin(0)]
    return vt.T @ (s[:, None] / (s[:, None] ** 2 + alphas) * inner)


def _single(z: Array, y: Array, groups: Groups) -> Array:
    squares = (z**2).sum(0)
    slopes = np.divide(
        z.T @ y, squares[:, None], out=np.zeros((z.shape[1], y.shape[1])), where=squares[:, None] > 0
    )
    share = np.divide(z**2, squares, out=np.zeros_like(z), where=squares > 0)
    errors = np.array(
        [
            _left_out_squares(y - np.outer(z[:, j], slopes[j]), (1 - 1 / len(y) - share[:, j])[:, None])
            for j in range(z.shape[1])
        ]
    )
    best = errors.argmin(0)
    chosen = np.arange(y.shape[1])
    found = np.zeros_like(slopes)
    found[best, chosen] = slopes[best, chosen]
    return found


def _left_out_squares(residual: Array, free: Array) -> Array:
    """Sum over models (last but one axis) of squared leave-one-out errors; infinite where one decides its own fit."""
    errors = np.divide(residual, free, out=np.full_like(residual, np.inf), where=free > 1e-9)
    return (errors**2).sum(-2)


def pls_path(z: Array, y: Array, most: int) -> Array:
    """B (most, p, T) of partial least squares with 1, 2, ... components, each target by itself."""
    p, targets = z.shape[1], y.shape[1]
    path = np.zeros((most, p, targets))
    weights = np.zeros((p, most, targets))
    loadings = np.zeros((p, most, targets))
    gains = np.zeros((most, targets))
    scores = np.broadcast_to(z[:, :, None], (*z.shape, targets)).copy()
    size = np.linalg.norm(y, axis=0)
    for k in range(most):
        direction = np.einsum("npt,nt->pt", scores, y)
        length = np.linalg.norm(direction, axis=0)
        alive = length > 1e-10 * size
        direction = np.divide(direction, length, out=np.zeros_like(direction), where=alive)
        latent = np.einsum("npt,pt->nt", scores, direction)
        square = (latent**2).sum(0)
        alive &= square > 1e-10
        square = np.where(alive, square, 1)
        weights[:, k] = np.where(alive, direction, 0)
        loadings[:, k] = np.where(alive, np.einsum("npt,nt->pt", scores, latent) / square, 0)
        gains[k] = np.where(alive, (latent * y).sum(0) / square, 0)
        scores -= latent[:, None, :] * loadings[None, :, k]
        for t in range(targets):
            used = weights[:, : k + 1, t], loadings[:, : k + 1, t]
            inner = used[1].T @ used[0]
            path[k, :, t] = used[0] @ np.linalg.lstsq(inner, gains[: k + 1, t], rcond=None)[0]
    return path


def pcr_path(z: Array, y: Array, most: int) -> Array:
    """B (most, p, T) of least squares on the first 1, 2, ... principal components of z."""
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    inner = np.divide(u.T @ y, s[:, None], out=np.zeros((len(s), y.shape[1])), where=s[:, None] > 1e-10)
    parts = vt[:most, :, None] * inner[:most, None, :]
    path = np.cumsum(parts, axis=0)
    return (
        np.concatenate([path, np.repeat(path[-1:], most - len(path), axis=0)]) if len(path) < most else path
    )


def _by_components(solve: Callable[[Array, Array, int], Array]) -> Callable[[Array, Array, Groups], Array]:
    def chosen(z: Array, y: Array, groups: Groups) -> Array:
        folds = inner_folds(groups, INNER_FOLDS)
        if folds.max() == 0:
            return solve(z, y, 1)[0]
        smallest = min(int((folds != fold).sum()) for fold in np.unique(folds))
        most = max(1, min(MOST_COMPONENTS, z.shape[1], smallest - 1))
        errors = np.zeros((most, y.shape[1]))
        for fold in np.unique(folds):
            out = folds == fold
            inside, outside = standardise(z[~out], z[out])
            centre = y[~out].mean(0)
            predicted = np.einsum("np,kpt->knt", outside, solve(inside, y[~out] - centre, most)) + centre
            errors += ((predicted - y[out]) ** 2).sum(1)
        path = solve(z, y, most)
        return path[errors.argmin(0), :, np.arange(y.shape[1])].T

    return chosen


def _elastic_net(z: Array, y: Array, groups: Groups) -> Array:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import ElasticNetCV

    folds = inner_folds(groups, INNER_FOLDS)
    if folds.max() == 0:
        return np.zeros((z.shape[1], y.shape[1]))
    splits = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
    found = np.zeros((z.shape[1], y.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for t in range(y.shape[1]):
            model = ElasticNetCV(l1_ratio=[0.1, 0.5, 0.9], alphas=20, cv=splits, max_iter=2000, tol=1e-3)
            found[:, t] = model.fit(z, y[:, t]).coef_
    return found


def inner_folds(groups: Groups, most: int) -> Groups:
    """At most `most` folds of about equal size that keep groups together: fold of each row (n,)."""
    kinds, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(kinds) <= most:
        return members
    load = np.zeros(most)
    fold_of = np.zeros(len(kinds), dtype=np.intp)
    for kind in np.argsort(-sizes, kind="stable"):
        fold_of[kind] = int(load.argmin())
        load[fold_of[kind]] += sizes[kind]
    return fold_of[members]


SOLVERS: dict[str, Callable[[Array, Array, Groups], Array]] = {
    "min-norm": _min_norm,
    "ridge": _ridge,
    "pls": _by_components(pls_path),
    "pcr": _by_components(pcr_path),
    "elastic-net": _elastic_net,
    "single": _single,
    "mean": _mean,
}
