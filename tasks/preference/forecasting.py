"""Forecasts the human rating of a run's models from their benchmark scores, with its evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tasks.preference import conformal, regression
from tasks.preference.correlation import Resampling, correlate
from tasks.preference.matching import MatchedScores, match_scores
from tasks.preference.notes import explain, explain_rows
from tasks.preference.regression import Array, Groups
from tasks.preference.result import Forecast
from tasks.preference.settings import PreferenceSettings
from tasks.preference.table import ModelTable, normalised, read_table

MIN_MODELS = 4
BASELINES = ("mean", "single", "log-params")
VALIDATION_COLUMNS = ["scheme", "method", "rmse", "low", "high", "ratio", "ratio_low", "ratio_high", "n"]
ROW_COLUMNS = [
    "model",
    "rating",
    "low",
    "high",
    "leverage",
    "leverage_fitted",
    "outside",
    "extrapolates",
    "missing",
]


@dataclass(frozen=True)
class _Fitted:
    """The rated models, in canonical order."""

    models: list[str]
    benchmarks: list[str]
    scores: Array
    ratings: Array
    families: Groups
    log_params: Array


def forecast(scores: pd.DataFrame, table: ModelTable | None, settings: PreferenceSettings) -> Forecast:
    """Forecast for every model in `scores` (rows of model, task, metric, value, stderr).

    table: public models; None reads `settings.table`, or the bundled one. Raises ValueError for an unknown
    rating or benchmark, a constant one, too few rated models for the level asked, and for scores that
    `match_scores` refuses.
    """
    table = read_table(settings.table) if table is None else table
    data, set_aside = _rated(table, settings)
    resampling = Resampling(settings.bootstraps, settings.permutations, settings.confidence, settings.seed)
    correlations = correlate(
        pd.DataFrame(data.scores, index=data.models, columns=data.benchmarks),
        pd.Series(data.ratings, index=data.models),
        table.families[data.models],
        table.params_b[data.models],
        table.errors.loc[data.models, settings.rating],
        resampling,
    )
    validation = _validation(data, settings)
    loo, coverage = _left_out(data, settings)
    matched = match_scores(
        scores, data.benchmarks, settings.names, table.values.loc[data.models, data.benchmarks]
    )
    rows, row_notes = _run_rows(data, matched, settings)
    model = regression.fit(data.scores, data.ratings, settings.method)
    about = {
        "table": table.name,
        "rating": settings.rating,
        "unit": table.unit(settings.rating),
        "benchmarks": data.benchmarks,
        "models": len(data.models),
        "families": len(np.unique(data.families)),
        "missing_cells": int(np.isnan(data.scores).sum()),
        "method": settings.method,
        "alpha": model.alpha,
        "slopes": dict(zip(data.benchmarks, (float(slope) for slope in model.slopes), strict=True)),
        "confidence": settings.confidence,
        "coverage": coverage,
        "rating_intervals": int(table.errors.loc[data.models, settings.rating].notna().sum()),
        "sources": _sources(table),
    }
    notes = [*explain(about, correlations, validation), *set_aside, *matched.notes, *row_notes]
    notes += explain_rows(rows, settings.confidence)
    return Forecast(correlations, validation, loo, rows, about, tuple(notes))


def _rated(table: ModelTable, settings: PreferenceSettings) -> tuple[_Fitted, list[str]]:
    have = list(table.values.columns)
    if settings.rating not in have:
        raise ValueError(f"rating={settings.rating!r}: {table.name} has no such quantity; it has {have}")
    wanted = settings.benchmarks or [name for name in have if name != settings.rating]
    unknown = [name for name in wanted if name not in have or name == settings.rating]
    if unknown or not wanted:
        others = [name for name in have if name != settings.rating]
        raise ValueError(f"benchmarks={unknown}: {table.name} has no such benchmark; it has {others}")
    notes = []
    rated = table.values[table.values[settings.rating].notna()]
    few = [name for name in wanted if rated[name].notna().sum() < MIN_MODELS]
    if settings.benchmarks and few:
        raise ValueError(f"benchmarks={few}: scores of fewer than {MIN_MODELS} rated models in {table.name}")
    if few:
        notes.append(f"Set aside, as fewer than {MIN_MODELS} rated models have them: {', '.join(few)}.")
    benchmarks = [name for name in wanted if name not in few]
    bare = rated.index[rated[benchmarks].isna().all(axis=1)].tolist() if benchmarks else rated.index.tolist()
    if bare:
        notes.append(f"Rated models without any of the benchmarks, left out: {', '.join(bare)}.")
    rated = rated.drop(index=bare)
    needed = max(MIN_MODELS, conformal.models_needed(settings.confidence))
    if len(rated) < needed:
        raise ValueError(
            f"{table.name}: {len(rated)} models have a {settings.rating} and a benchmark; at confidence "
            f"{settings.confidence:g} an interval needs at least {needed} (or lower the confidence)"
        )
    constant = [name for name in [settings.rating, *benchmarks] if rated[name].nunique() < 2]
    if constant:
        raise ValueError(
            f"{table.name}: {constant} do not vary over the rated models, so nothing can be learned"
        )
    models = rated.index.tolist()
    data = _Fitted(
        models=models,
        benchmarks=benchmarks,
        scores=rated[benchmarks].to_numpy(float),
        ratings=rated[settings.rating].to_numpy(float),
        families=pd.factorize(table.families[models].to_numpy(), sort=True)[0],
        log_params=np.log(table.params_b[models].to_numpy(float)),
    )
    return data, notes


def _schemes(data: _Fitted) -> dict[str, Groups]:
    """Folds by scheme; with fewer than four families leaving one out would leave no fold inside the fold."""
    schemes = {"leave-one-model-out": np.arange(len(data.models))}
    if len(np.unique(data.families)) >= MIN_MODELS:
        schemes["leave-one-family-out"] = data.families
    return schemes


def _validation(data: _Fitted, settings: PreferenceSettings) -> pd.DataFrame:
    sizes = data.log_params[:, None]
    rows = []
    for scheme, folds in _schemes(data).items():
        errors = {}
        for method in dict.fromkeys((settings.method, *BASELINES)):
            if method == "log-params":
                if np.unique(sizes[np.isfinite(sizes)]).size < 2:
                    continue
                predicted = regression.left_out_predictions(sizes, data.ratings, folds, "single")
            else:
                predicted = regression.left_out_predictions(data.scores, data.ratings, folds, method)
            errors[method] = predicted - data.ratings
        how = (data.families, settings.confidence, settings.bootstraps, settings.seed)
        for method, error in errors.items():
            rmse = regression.rmse_interval(error, *how)
            ratio = regression.rmse_ratio_interval(errors[settings.method], error, *how)
            rows.append([scheme, method, *rmse, *ratio, len(error)])
    return pd.DataFrame(rows, columns=VALIDATION_COLUMNS)


def _left_out(
    data: _Fitted, settings: PreferenceSettings
) -> tuple[pd.DataFrame, dict[str, dict[str, int] | None]]:
    """The scatter (leave-one-model-out) and how many left-out models each scheme's intervals hold."""
    coverage: dict[str, dict[str, int] | None] = {}
    intervals = {}
    for scheme, folds in _schemes(data).items():
        found = conformal.left_out_intervals(
            data.scores, data.ratings, folds, settings.method, settings.confidence
        )
        intervals[scheme] = found
        held = conformal.covered(data.ratings, found[:, 1], found[:, 2])
        finite = np.isfinite(found).all()
        coverage[scheme] = {"covered": int(held.sum()), "of": len(held)} if finite else None
    predicted, low, high = intervals["leave-one-model-out"].T
    loo = pd.DataFrame(
        {"model": data.models, "truth": data.ratings, "predicted": predicted, "low": low, "high": high}
    )
    return loo, coverage


def _run_rows(
    data: _Fitted, matched: MatchedScores, settings: PreferenceSettings
) -> tuple[pd.DataFrame, list[str]]:
    rows, notes = [], []
    known = [normalised(model) for model in data.models]
    for model in matched.scores.index:
        x = matched.scores.loc[model].to_numpy(float)
        lacking = [name for name, value in zip(data.benchmarks, x, strict=True) if math.isnan(value)]
        if lacking:
            blank = dict.fromkeys(ROW_COLUMNS[1:6], math.nan)
            rows.append(
                {"model": model, **blank, "outside": "", "extrapolates": False, "missing": ", ".join(lacking)}
            )
            continue
        other = np.array([name != normalised(model) for name in known])
        if not other.all():
            notes.append(f"{model} stands in the table: its own figures were left out of its forecast.")
        error = np.nan_to_num(matched.errors.loc[model].to_numpy(float))
        rows.append({"model": model, **_row(_subset(data, other), x, error, settings), "missing": ""})
    frame = pd.DataFrame(rows, columns=ROW_COLUMNS)
    return frame.astype({"extrapolates": bool, **dict.fromkeys(ROW_COLUMNS[1:6], float)}), notes


def _row(data: _Fitted, x: Array, error: Array, settings: PreferenceSettings) -> dict[str, Any]:
    """Rating with its CV+ interval over families, widened by the noise of the model's own scores."""
    model = regression.fit(data.scores, data.ratings, settings.method)
    folds = list(_schemes(data).values())[-1]
    fits = conformal.fit_left_out(data.scores, data.ratings, folds, settings.method)
    low, high = fits.interval(x, settings.confidence)
    noise = float(np.sqrt(((model.slopes * error) ** 2).sum()))
    low, high = conformal.widened(low, high, noise, float(stats.norm.ppf((1 + settings.confidence) / 2)))
    rating = float(model.predict(x[None])[0])
    leverage, largest = conformal.leverages(data.scores, x[None])
    bounds = np.nanmin(data.scores, axis=0), np.nanmax(data.scores, axis=0)
    outside = [
        name
        for name, value, least, most in zip(data.benchmarks, x, *bounds, strict=True)
        if not least <= value <= most
    ]
    return {
        "rating": rating,
        # A fit on all models need not lie between its left-out siblings; an interval holds its own forecast.
        "low": min(low, rating),
        "high": max(high, rating),
        "leverage": float(leverage[0]),
        "leverage_fitted": largest,
        "outside": ", ".join(outside),
        "extrapolates": bool(outside) or bool(leverage[0] > largest),
    }


def _subset(data: _Fitted, kept: np.ndarray) -> _Fitted:
    return _Fitted(
        models=[model for model, keep in zip(data.models, kept, strict=True) if keep],
        benchmarks=data.benchmarks,
        scores=data.scores[kept],
        ratings=data.ratings[kept],
        families=data.families[kept],
        log_params=data.log_params[kept],
    )


def _sources(table: ModelTable) -> list[dict[str, str]]:
    columns = ["source", "source_commit", "licence"]
    distinct = sorted(set(table.provenance[columns].itertuples(index=False, name=None)))
    return [dict(zip(columns, row, strict=True)) for row in distinct]
