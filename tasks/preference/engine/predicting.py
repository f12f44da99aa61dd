"""Out-of-fold predictions of every method, and the mixed method `auto` that weighs some of them by those.

`auto` predicts by a convex combination of the level models, ridge and the baselines, with one set of weights for
all categories: those of least squared out-of-fold error in units of each category's deviation. A category whose
out-of-fold error is then still clearly above that of its best baseline falls back to that baseline.

`single-filled` is the baseline `single` given the level model's own way with missing benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from tasks.preference.engine.gaussian import Normal, standardised
from tasks.preference.engine.level import STRENGTHS, completed, fit_level, scores_normal
from tasks.preference.engine.linear import SOLVERS, coefficients, inner_folds, standardise

Array = NDArray[np.float64]
Groups = NDArray[np.intp]
BASELINES = ("mean", "log-params", "single")
LEVELS = ("level-light", "level-strong")
FILLED = "single-filled"
METHODS = ("auto", *LEVELS, "ridge", "pls", "pcr", "elastic-net", "min-norm", *BASELINES, FILLED)
MIXED = (*LEVELS, "ridge", *BASELINES)
PRIOR = ("level-light", "single")
PRIOR_MODELS = 20
SHARED_MODELS = 50
CLEARLY_WORSE = 1.25
CALIBRATION_FOLDS = 10
FEWEST_RATINGS = 2


@dataclass(frozen=True)
class Training:
    """What a fit may see: scores (n, p), ratings (n, T), log_params, groups (n,); scores without ratings (m, p)."""

    scores: Array
    ratings: Array
    log_params: Array
    groups: Groups
    others: Array

    def part(self, rows: NDArray[np.bool_]) -> Training:
        return Training(
            self.scores[rows], self.ratings[rows], self.log_params[rows], self.groups[rows], self.others
        )


@dataclass(frozen=True)
class Predicted:
    """One method's view from a training set.

    new (m, T): predictions of the new models. held_out (n, T): of each training model by the fit without its
    fold. new_by_fold (K, m, T) and fold_of (n,): the new models by each of those fits. weights: of what was
    mixed, empty otherwise. fell_back: by target the baseline that took over, '' where none did.
    """

    new: Array
    held_out: Array
    new_by_fold: Array
    fold_of: Groups
    weights: dict[str, float] = field(default_factory=dict)
    fell_back: tuple[str, ...] = ()


def predict(
    methods: Sequence[str], train: Training, scores: Array, log_params: Array
) -> dict[str, Predicted]:
    """Fits each method on `train` and without each of its folds, and predicts new models (m, p), (m,).

    A target that fewer than FEWEST_RATINGS of the models of a fit have is predicted NaN, by every method.
    """
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise ValueError(f"methods={unknown}: allowed are {list(METHODS)}")
    needed = list(
        dict.fromkeys([m for m in methods if m != "auto"] + (list(MIXED) if "auto" in methods else []))
    )
    fold_of = inner_folds(train.groups, CALIBRATION_FOLDS)
    start = _start(needed, train)
    everything = np.vstack([train.scores, scores]), np.append(train.log_params, log_params)
    n = len(train.ratings)
    full = _fitted(needed, train, scores, log_params, start)
    parts = []
    for fold in range(fold_of.max() + 1):
        parts.append(_fitted(needed, train.part(fold_of != fold), *everything, start))
    found = {}
    for method in needed:
        by_fold = np.array([part[method] for part in parts])
        held_out = by_fold[fold_of, np.arange(n)]
        found[method] = Predicted(full[method], held_out, by_fold[:, n:], fold_of)
    if "auto" in methods:
        found["auto"] = _mixed({name: found[name] for name in MIXED}, train.ratings)
    return {method: found[method] for method in methods}


def _start(methods: Sequence[str], train: Training) -> dict[str, Normal]:
    return {
        name: scores_normal(train.scores, train.others, shrinkage)
        for name, shrinkage in zip(LEVELS, STRENGTHS, strict=True)
        if name in methods or (name == LEVELS[0] and FILLED in methods)
    }


def _fitted(
    methods: Sequence[str], train: Training, scores: Array, log_params: Array, start: dict[str, Normal]
) -> dict[str, Array]:
    strengths = dict(zip(LEVELS, STRENGTHS, strict=True))
    found = {}
    ratings = completed(train.ratings) if set(methods) & set(LEVELS) else train.ratings
    enough = np.isfinite(train.ratings).sum(0) >= FEWEST_RATINGS
    for method in methods:
        if method in LEVELS:
            model = fit_level(train.scores, ratings, train.others, strengths[method], start[method])
            found[method] = np.where(enough, model.predict(scores), np.nan)
        elif method == FILLED:
            found[method] = _linear("single", *_without_holes(train, scores, start[LEVELS[0]]), log_params)
        else:
            found[method] = _linear(method, train, scores, log_params)
    return found


def _without_holes(train: Training, scores: Array, normal: Normal) -> tuple[Training, Array]:
    """Both with missing benchmarks as the normal of the benchmarks expects them given the others."""
    filled, new = (normal.expected(standardised(part, train.scores)) for part in (train.scores, scores))
    return replace(train, scores=filled), new


def _linear(method: str, train: Training, scores: Array, log_params: Array) -> Array:
    """Targets that the same models have are fitted together."""
    predicted = np.full((len(scores), train.ratings.shape[1]), np.nan)
    known = np.isfinite(train.ratings)
    kinds, members = np.unique(known.T, axis=0, return_inverse=True)
    inputs = (
        (train.log_params[:, None], log_params[:, None]) if method == "log-params" else (train.scores, scores)
    )
    solver = "single" if method == "log-params" else method
    if solver not in SOLVERS:
        raise ValueError(f"method={method!r}: allowed are {sorted(SOLVERS)}")
    for i, rows in enumerate(kinds):
        if rows.sum() < FEWEST_RATINGS:
            continue
        targets = np.flatnonzero(members.ravel() == i)
        z, new = standardise(inputs[0][rows], inputs[1])
        y = train.ratings[np.ix_(rows, targets)]
        centre = y.mean(0)
        predicted[:, targets] = centre + new @ coefficients(solver, z, y - centre, train.groups[rows])
    return predicted


def _mixed(parts: dict[str, Predicted], ratings: Array) -> Predicted:
    names = list(parts)
    known = np.isfinite(ratings)
    count = np.maximum(known.sum(0), 1)
    centre = np.where(known, ratings, 0).sum(0) / count
    spread = np.sqrt((np.where(known, ratings - centre, 0) ** 2).sum(0) / count)
    spread = np.where(spread > 0, spread, 1)
    errors = np.array([(part.held_out - ratings) / spread for part in parts.values()])
    weights = mixing_weights(errors, [names.index(name) for name in PRIOR])
    held_out, new, by_fold = (
        np.einsum("mt,m...t->...t", weights, np.array([getattr(part, view) for part in parts.values()]))
        for view in ("held_out", "new", "new_by_fold")
    )
    fell_back = []
    for t in range(ratings.shape[1]):
        loss = {name: _rmse(parts[name].held_out[:, t] - ratings[:, t]) for name in BASELINES}
        best = min(loss, key=loss.__getitem__)
        worse = _rmse(held_out[:, t] - ratings[:, t]) > CLEARLY_WORSE * loss[best]
        fell_back.append(best if worse else "")
        if worse:
            held_out[:, t] = parts[best].held_out[:, t]
            new[:, t] = parts[best].new[:, t]
            by_fold[:, :, t] = parts[best].new_by_fold[:, :, t]
    told = {name: float(weight) for name, weight in zip(names, weights.mean(1), strict=True) if weight > 1e-6}
    return Predicted(new, held_out, by_fold, parts[names[0]].fold_of, told, tuple(fell_back))


def mixing_weights(errors: Array, prior: Sequence[int]) -> Array:
    """Weights (M, T) for errors (M, n, T) in units of each target's deviation, NaN where there is no rating.

    Those of all targets together are drawn to the mean of the methods `prior` as PRIOR_MODELS models would, and each
    target's own to those of all as SHARED_MODELS would.
    """
    methods, n, targets = errors.shape
    first = np.eye(methods)[list(prior)].mean(0)
    flat = errors.reshape(methods, -1)
    together = simplex_weights(flat[:, np.isfinite(flat).all(0)])
    shared = (n * together + PRIOR_MODELS * first) / (n + PRIOR_MODELS)
    weights = np.empty((methods, targets))
    for t in range(targets):
        own = errors[:, np.isfinite(errors[:, :, t]).all(0), t]
        count = own.shape[1]
        weights[:, t] = (count * simplex_weights(own) + SHARED_MODELS * shared) / (count + SHARED_MODELS)
    return weights


def _rmse(errors: Array) -> float:
    known = errors[np.isfinite(errors)]
    return float(np.sqrt((known**2).mean())) if len(known) else 0.0


def simplex_weights(errors: Array) -> Array:
    """w >= 0 with sum 1 of least |sum_m w_m e_m|^2, for errors (M, cells)."""
    size = len(errors)
    if errors.shape[1] == 0:
        return np.full(size, 1 / size)
    gram = errors @ errors.T / errors.shape[1]
    root = np.linalg.cholesky(gram + (1e-6 * np.trace(gram) / size + 1e-12) * np.eye(size)).T
    large = 1e3 * max(float(np.sqrt(np.trace(gram))), 1e-6)
    weights, _ = nnls(np.vstack([root, np.full((1, size), large)]), np.append(np.zeros(size), large))
    return weights / weights.sum()
