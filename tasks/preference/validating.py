"""Tries every method on models that it has not seen, by category, beside three baselines, with intervals.

A model is left out with its ratings in *every* category: no fit, filled-in rating, choice or interval for it has
seen one of them. Scaling, filling, choosing and weighing are done anew among the models that remain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.preference.engine.folds import Fold, folds_of, scheme_named
from tasks.preference.engine.intervals import guaranteed, intervals
from tasks.preference.engine.predicting import BASELINES, METHODS, Array, Groups, Training, predict
from tasks.preference.engine.resampled_errors import rmse_interval, rmse_ratio_interval
from tasks.preference.sheets.joining import Paired, pair
from tasks.tables.reading import Source

BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Validation:
    """table: one row a category and method (see `validate`). cells: one row a model, category and method.

    weights: of what `auto` mixed, mean over the folds. scheme; confidence.
    """

    table: pd.DataFrame
    cells: pd.DataFrame
    weights: dict[str, float]
    scheme: str
    confidence: float

    def summary(self) -> list[dict[str, Any]]:
        """By method: medians over categories, the worst category, coverage pooled over categories, and guaranteed.

        As in `table`, over the cells that all methods predicted.
        """
        rows = []
        shared = _shared(self.cells)
        best_baseline = min(
            float(self.table.loc[self.table["method"] == name, "rmse"].median()) for name in BASELINES
        )
        for method, part in self.table.groupby("method", sort=False):
            mine = shared[shared["method"] == method]
            cells = mine[np.isfinite(mine["half_width"])]
            median = float(part["rmse"].median())
            worst = part.iloc[int(part["ratio"].to_numpy().argmax())]
            rows.append(
                {
                    "method": method,
                    "median_rmse": median,
                    "median_baseline_rmse": best_baseline,
                    "ratio_of_medians": median / best_baseline if best_baseline else _over_zero(median),
                    "median_ratio": float(part["ratio"].median()),
                    "worst_ratio": float(worst["ratio"]),
                    "worst_target": worst["target"],
                    "coverage": float(cells["covered"].mean()) if len(cells) else None,
                    "guaranteed": guaranteed(self.confidence),
                    "intervals": len(cells),
                    "infinite_intervals": len(mine) - len(cells),
                }
            )
        return rows


def validate(
    scores: Source | Sequence[Source],
    ratings: Source,
    methods: Sequence[str] = ("auto",),
    scheme: str = "leave-one-model-out",
    *,
    models: Source | None = None,
    confidence: float = 0.9,
    random_seed: int = 0,
    **reading: Any,
) -> pd.DataFrame:
    """Left-out errors by category: one row a category (`target`) and method, the three baselines among them.

    scores, ratings, models, and what else `reading` takes: see `sheets.joining.pair`. methods: of
    `engine.predicting.METHODS`. scheme: leave-one-model-out, leave-one-family-out or forward-in-time (needs
    column date). Columns: n (left-out ratings that all methods predicted); rmse with rmse_low, rmse_high (families
    resampled); baseline and baseline_rmse (the best of mean, log-params and single for that category); ratio of the
    two with ratio_low, ratio_high; coverage of the intervals at `confidence`, and how many are infinite as too few
    models remain; median_width; fell_back (share of the folds in which `auto` fell back to a baseline); noise (root
    mean square of the ratings' own standard errors) and rmse_without_noise (the error left once that is taken out).
    """
    data = pair(scores, ratings, models, **reading)
    return validate_pair(data, methods, scheme_named(scheme), confidence, random_seed).table


def validate_pair(
    data: Paired, methods: Sequence[str], scheme: str, confidence: float = 0.9, random_seed: int = 0
) -> Validation:
    """`validate` on tables that are joined already."""
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise ValueError(f"methods={unknown}: allowed are {list(METHODS)}")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence={confidence:g}: must be from 0.5 to below 1")
    tried = list(dict.fromkeys([*methods, *BASELINES]))
    folds, groups = folds_of(data, scheme)
    n, targets = data.ratings.shape
    shape = (len(tried), n, targets)
    predicted, low, high = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    fell_back = np.zeros((len(folds), targets))
    weights: dict[str, float] = {}
    for number, fold in enumerate(folds):
        train = training(data, fold, groups)
        found = predict(tried, train, data.scores[fold.test], data.log_params[fold.test])
        for m, method in enumerate(tried):
            predicted[m, fold.test] = found[method].new
            low[m, fold.test], high[m, fold.test] = intervals(found[method], train.ratings, confidence)
        if "auto" in found:
            fell_back[number] = [name != "" for name in found["auto"].fell_back]
            for name, weight in found["auto"].weights.items():
                weights[name] = weights.get(name, 0) + weight / len(folds)
    cells = _cells(data, tried, predicted, low, high)
    table = _table(data, tried, cells, fell_back.mean(0), confidence, random_seed)
    return Validation(table, cells, weights, scheme, confidence)


def training(data: Paired, fold: Fold, groups: Groups) -> Training:
    """What a fold may see. Models without ratings are no more than the rated ones: those with most scores."""
    others = data.other_scores[fold.others]
    order = np.argsort(-np.isfinite(others).sum(1), kind="stable")[: int(fold.train.sum())]
    return Training(
        scores=data.scores[fold.train],
        ratings=data.ratings[fold.train],
        log_params=data.log_params[fold.train],
        groups=np.unique(groups[fold.train], return_inverse=True)[1],
        others=others[order],
    )


def _cells(data: Paired, tried: list[str], predicted: Array, low: Array, high: Array) -> pd.DataFrame:
    method, model, target = np.nonzero(np.isfinite(predicted) & np.isfinite(data.ratings))
    at = (method, model, target)
    truth = data.ratings[model, target]
    return pd.DataFrame(
        {
            "method": np.array(tried)[method],
            "model": np.array(data.models)[model],
            "family": data.families[model],
            "target": np.array(data.targets)[target],
            "truth": truth,
            "predicted": predicted[at],
            "low": low[at],
            "high": high[at],
            "half_width": (high[at] - low[at]) / 2,
            "covered": (low[at] <= truth) & (truth <= high[at]),
            "rating_error": data.rating_errors[model, target],
        }
    )


def _table(
    data: Paired,
    tried: list[str],
    cells: pd.DataFrame,
    fell_back: Array,
    confidence: float,
    random_seed: int,
) -> pd.DataFrame:
    rows = []
    shared = _shared(cells)
    for t, target in enumerate(data.targets):
        here = shared[shared["target"] == target]
        if here.empty:
            continue
        parts = {method: here[here["method"] == method] for method in tried}
        errors = {method: (part["predicted"] - part["truth"]).to_numpy() for method, part in parts.items()}
        rmse = {method: float(np.sqrt((error**2).mean())) for method, error in errors.items()}
        best = min(BASELINES, key=rmse.__getitem__)
        noise = parts[best]["rating_error"].dropna().to_numpy()
        families = np.unique(parts[best]["family"].to_numpy(str), return_inverse=True)[1]
        how = (families, confidence, BOOTSTRAPS, random_seed)
        for method, part in parts.items():
            _, rmse_low, rmse_high = rmse_interval(errors[method], *how)
            ratio = _ratio(errors[method], errors[best], how)
            finite = np.isfinite(part["half_width"])
            rows.append(
                {
                    "target": target,
                    "method": method,
                    "n": len(part),
                    "rmse": rmse[method],
                    "rmse_low": rmse_low,
                    "rmse_high": rmse_high,
                    "baseline": best,
                    "baseline_rmse": rmse[best],
                    "ratio": ratio[0],
                    "ratio_low": ratio[1],
                    "ratio_high": ratio[2],
                    "coverage": float(part.loc[finite, "covered"].mean()) if finite.any() else np.nan,
                    "infinite": int((~finite).sum()),
                    "median_width": float(2 * part.loc[finite, "half_width"].median())
                    if finite.any()
                    else np.inf,
                    "fell_back": float(fell_back[t]) if method == "auto" else 0.0,
                    "noise": float(np.sqrt((noise**2).mean())) if len(noise) else np.nan,
                    "rmse_without_noise": _without_noise(
                        errors[method], part["rating_error"].to_numpy(float)
                    ),
                }
            )
    return pd.DataFrame(rows)


def _shared(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of models and categories that every method predicted."""
    counts = cells.groupby(["model", "target"], sort=False)["method"].transform("size")
    return cells[counts == cells["method"].nunique()]


def _without_noise(errors: Array, rating_errors: Array) -> float:
    """Root of the mean of squared errors less the ratings' own error variances (0 where unknown); at least 0."""
    return float(np.sqrt(max((errors**2 - np.nan_to_num(rating_errors) ** 2).mean(), 0)))


def _ratio(errors: Array, baseline: Array, how: tuple) -> Array:
    if not (baseline**2).sum():
        return np.full(3, _over_zero(float((errors**2).sum())))
    return rmse_ratio_interval(errors, baseline, *how)


def _over_zero(error: float) -> float:
    """The ratio of an error to a baseline's of exactly 0: 1 where it is 0 too, else infinite."""
    return np.inf if error else 1.0
