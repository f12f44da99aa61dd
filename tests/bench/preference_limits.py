"""What tables of ratings allow a forecast, other ways that were tried on them, and claims of unrelated figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.preference.association.pairs import guarded_pairs
from tasks.preference.engine.folds import SCHEMES
from tasks.preference.engine.gaussian import standardised
from tasks.preference.engine.level import STRENGTHS, scores_normal
from tasks.preference.engine.predicting import BASELINES
from tasks.preference.sheets.joining import Paired, pair
from tasks.preference.validating import validate_pair

Array = NDArray[np.float64]
UNRELATED = 400


def allowed(data: Paired, table: pd.DataFrame) -> str:
    """Beside the best baseline's error: the ratings' noise, and what a linear rule on all benchmarks would leave."""
    auto = table[table["method"] == "auto"].set_index("target")
    errors, noises = auto["baseline_rmse"].astype(float), auto["noise"].astype(float)
    noise, linear, fitted = [], [], []
    filled = scores_normal(data.scores, data.other_scores, STRENGTHS[0]).expected(
        standardised(data.scores, data.scores)
    )
    p = filled.shape[1]
    for k, target in enumerate(data.targets):
        if target not in auto.index:
            continue
        base = float(errors[target])
        noise.append(float(noises[target]) / base)
        rows = np.isfinite(data.ratings[:, k])
        n = int(rows.sum())
        if n > p + 2:
            design = np.column_stack([np.ones(n), filled[rows]])
            y = data.ratings[rows, k]
            free = n - np.linalg.matrix_rank(design)
            variance = ((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum() / free
            linear.append(np.sqrt(variance) / base)
            # Of normal benchmarks, the error of least squares on a new model: variance (1 + 1/n) (n - 2) / (n - p - 2).
            fitted.append(np.sqrt(variance * (1 + 1 / n) * (n - 2) / max(n - p - 2, 1e-9)) / base)
    told = f"the ratings' own noise is {np.nanmedian(noise):.2f} of the best baseline's error"
    if not linear:
        return f"{told}; {p} benchmarks are too many for {len(data.models)} models to tell what a linear rule leaves"
    return (
        f"{told}; a linear rule on all {p} benchmarks would leave {np.median(linear):.2f} of it if it were known, "
        f"{np.median(fitted):.2f} fitted by least squares to as many models (medians over {len(linear)} categories)"
    )


def other_ways(data: Paired, table: pd.DataFrame) -> str:
    """Ratio of medians and worst category of the filled single benchmark, and of auto on log-odds of shares."""
    rmse = table.pivot(index="target", columns="method", values="rmse")
    odds = replace(data, scores=_log_odds(data.scores), other_scores=_log_odds(data.other_scores))
    again = validate_pair(odds, ["auto"], SCHEMES[0]).table.pivot(
        index="target", columns="method", values="rmse"
    )
    best = rmse[list(BASELINES)]
    ways = {
        "the single benchmark with its holes filled": rmse["single-filled"],
        "auto on log-odds": again["auto"],
    }
    return ", ".join(
        f"{name} {way.median() / best.median().min():.3f} (worst {(way / best.min(axis=1)).max():.2f})"
        for name, way in ways.items()
    )


def _log_odds(scores: Array) -> Array:
    """Columns within [0, 1], or [0, 100] and above 10, as log-odds of shares, drawn in to half a percent."""
    told = scores.copy()
    for j in range(scores.shape[1]):
        known = scores[np.isfinite(scores[:, j]), j]
        if len(known) and known.min() >= 0 and (known.max() <= 1 or 10 < known.max() <= 100):
            share = (scores[:, j] / (1 if known.max() <= 1 else 100)).clip(0.005, 0.995)
            told[:, j] = np.log(share / (1 - share))
    return told


def unrelated() -> str:
    """How often anything at all holds among unrelated figures, which the guard keeps at 5%."""
    rng, claims = np.random.default_rng(0), 0
    for seed in range(UNRELATED):
        size, scores = rng.normal(size=12), rng.normal(size=(12, 4)) + 0.7 * rng.normal(size=(12, 1))
        ratings = 0.5 * rng.normal(size=(12, 3)) + rng.normal(size=(12, 1))
        found = guarded_pairs(_plain(scores, ratings, size), 199, seed)
        parts = found.pairs, found.benchmarks, found.targets
        claims += any((part["p_family_wise"] <= 0.05).any() for part in parts)
    error = np.sqrt(claims / UNRELATED * (1 - claims / UNRELATED) / UNRELATED)
    return (
        f"of {UNRELATED} unrelated tables (12 models x 4 benchmarks -> 3 categories, {found.count} tests each) "
        f"{claims / UNRELATED:.1%} ± {error:.1%} show anything that holds at 5%"
    )


def _plain(scores: Array, ratings: Array, log_params: Array) -> Paired:
    names = [f"m{i}" for i in range(len(scores))]
    sheets = {"b": scores, "t": ratings}
    one, other = (
        pd.DataFrame(values, columns=[f"{letter}{j}" for j in range(values.shape[1])]).assign(model=names)
        for letter, values in sheets.items()
    )
    return pair(one, other, pd.DataFrame({"model": names, "params_b": np.exp(log_params)}))
