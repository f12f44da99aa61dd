"""The law `auto`: a weighted mean of laws, the weights chosen by cross-validation inside the training runs.

Held out are random folds and, alike in number, whole groups of like mixtures (see `folds`): a law that only
interpolates is good at the first and fails at the second, as it does when the scale or the corpus changes.
The weights (at least 0, sum 1, one a law for all losses) minimise the squared error of the held-out
predictions, each kind of fold in units of its best single law's error and each loss in units of its spread.
How good the stack is, is told by predictions of each fold with weights from the other folds alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.mixture.laws.gaussian_process import MOST_RUNS, fit_gaussian, fit_process
from tasks.mixture.laws.lightgbm_trees import fit_trees
from tasks.mixture.laws.log_linear import fit_log_linear
from tasks.mixture.laws.power_laws import fit_diminishing
from tasks.mixture.laws.predictor import Predictor, robust_scale
from tasks.mixture.laws.ridge import fit_ridge
from tasks.mixture.laws.run_folds import Fold, far_folds, random_folds
from tasks.mixture.solver.capped_simplex import Array

RUNS_IN_FOLDS = 128
NEGLIGIBLE = 0.01


def fit_stack(mixtures: Array, losses: Array) -> Predictor:
    """The stack for mixtures (n, d) and losses (n, m)."""
    scales = np.array([robust_scale(losses[:, k]) for k in range(losses.shape[1])])
    families = {"random": random_folds(mixtures), "far": far_folds(mixtures)}
    held_out = {
        kind: [_fold(mixtures, losses, fold) for fold in folds] for kind, folds in families.items() if folds
    }
    errors = {
        (kind, i): {law: (predicted - losses[fold]) / scales for law, predicted in by_law.items()}
        for kind, by_fold in held_out.items()
        for i, (fold, by_law) in enumerate(zip(families[kind], by_fold, strict=True))
    }
    weights = stack_weights(errors)
    kept = {law: weight for law, weight in weights.items() if weight >= NEGLIGIBLE}
    kept = {law: weight / sum(kept.values()) for law, weight in kept.items()}
    parts = fit_parts(mixtures, losses, kept, MOST_RUNS)

    def predict(points: Array) -> Array:
        return np.sum([weight * parts[law].predict(points) for law, weight in kept.items()], axis=0)

    about = {"stack": kept, "held_out": _told(families, held_out, errors, losses)}
    return Predictor(predict, all(parts[law].smooth for law in kept), about)


LAWS_IN_STACK = (
    "ridge",
    "log-linear",
    "diminishing",
    "lightgbm",
    "gp",
    "diminishing+gp",
    "diminishing+lightgbm",
)


def fit_parts(mixtures: Array, losses: Array, wanted: Any, most_runs: int) -> dict[str, Predictor]:
    """The laws of the stack that are wanted; `+`: the second is fitted to what the first leaves."""
    fitted: dict[str, Predictor] = {}
    if "ridge" in wanted:
        fitted["ridge"] = fit_ridge(mixtures, losses)
    if "log-linear" in wanted:
        fitted["log-linear"] = fit_log_linear(mixtures, losses)
    if "lightgbm" in wanted:
        fitted["lightgbm"] = fit_trees(mixtures, losses, quick=True)
    if "gp" in wanted:
        fitted["gp"] = fit_gaussian(mixtures, losses, most_runs)
    if any(law.startswith("diminishing") for law in wanted):
        base = fitted["diminishing"] = fit_diminishing(mixtures, losses)
        rest = losses - base.predict(mixtures)
        if "diminishing+gp" in wanted:
            process = fit_process(mixtures, rest, most_runs=most_runs)
            fitted["diminishing+gp"] = _sum(base, process)
        if "diminishing+lightgbm" in wanted:
            fitted["diminishing+lightgbm"] = _sum(base, fit_trees(mixtures, rest, quick=True))
    return {law: fitted[law] for law in wanted}


def fit_residual_process(mixtures: Array, losses: Array) -> Predictor:
    """The law `diminishing+gp` for mixtures (n, d) and losses (n, m)."""
    return fit_parts(mixtures, losses, ["diminishing+gp"], MOST_RUNS)["diminishing+gp"]


def _sum(first: Predictor, second: Predictor) -> Predictor:
    return Predictor(
        lambda points: first.predict(points) + second.predict(points), first.smooth and second.smooth
    )


def _fold(mixtures: Array, losses: Array, fold: Fold) -> dict[str, Array]:
    rest = np.setdiff1d(np.arange(len(mixtures)), fold)
    parts = fit_parts(mixtures[rest], losses[rest], LAWS_IN_STACK, RUNS_IN_FOLDS)
    return {law: part.predict(mixtures[fold]) for law, part in parts.items()}


def stack_weights(errors: Mapping[tuple[str, int], Mapping[str, Array]]) -> dict[str, float]:
    """Weight of each law, from its errors (runs, losses) in every fold (kind, number)."""
    from scipy.optimize import nnls

    laws = list(next(iter(errors.values())))
    rows = []
    for kind in dict.fromkeys(kind for kind, _ in errors):
        of_kind = np.concatenate(
            [
                np.stack([by_law[law].ravel() for law in laws], axis=1)
                for (k, _), by_law in errors.items()
                if k == kind
            ]
        )
        best = float((of_kind**2).mean(axis=0).min())
        rows.append(of_kind / np.sqrt(max(best, 1e-30) * len(of_kind)))
    stacked = np.concatenate(rows)
    firm = 1e3 * max(float(np.abs(stacked).sum(axis=0).max()), 1.0)
    weights, _ = nnls(
        np.concatenate([stacked, np.full((1, len(laws)), firm)]), np.append(np.zeros(len(stacked)), firm)
    )
    return {law: float(weight) for law, weight in zip(laws, weights / weights.sum(), strict=True)}


def _told(
    families: Mapping[str, list[Fold]],
    held_out: Mapping[str, list[dict[str, Array]]],
    errors: Mapping[tuple[str, int], Mapping[str, Array]],
    losses: Array,
) -> dict[str, dict[str, float]]:
    """Spearman of the mean loss over the held-out runs, by kind of fold and law; over folds the mean, by size."""
    from tasks.mixture.laws.law_scores import spearman

    told: dict[str, dict[str, float]] = {}
    for kind, by_fold in held_out.items():
        scores: dict[str, list[float]] = {law: [] for law in (*LAWS_IN_STACK, "auto")}
        sizes = []
        for i, (fold, by_law) in enumerate(zip(families[kind], by_fold, strict=True)):
            if len(fold) < 3:
                continue
            others = {key: value for key, value in errors.items() if key != (kind, i)} or errors
            weights = stack_weights(others)
            auto = np.sum([weights[law] * predicted for law, predicted in by_law.items()], axis=0)
            for law, predicted in {**by_law, "auto": auto}.items():
                scores[law].append(spearman(predicted.mean(axis=1), losses[fold].mean(axis=1)))
            sizes.append(len(fold))
        if sizes:
            told[kind] = {law: float(np.average(values, weights=sizes)) for law, values in scores.items()}
    return told
