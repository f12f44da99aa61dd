"""Ratings forecast, with intervals, for the models of a score table that a rating table does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from tasks.preference.association.guard import in_words, limits, refused_claims
from tasks.preference.engine.folds import MIN_TRAINING, Fold
from tasks.preference.engine.gaussian import fit_normal, standardised
from tasks.preference.engine.intervals import coverage_words, guaranteed, intervals, models_needed
from tasks.preference.engine.level import STRENGTHS
from tasks.preference.engine.linear import inner_folds
from tasks.preference.engine.predicting import CALIBRATION_FOLDS, METHODS, Array, predict
from tasks.preference.records import records
from tasks.preference.sheets.joining import Paired, pair
from tasks.preference.validating import training
from tasks.tables.reading import Source

ROW_COLUMNS = ["model", "target", "predicted", "low", "high"]
MODEL_COLUMNS = ["model", "benchmarks", "of", "leverage", "leverage_rated", "outside", "extrapolates"]


@dataclass(frozen=True)
class TableForecast:
    """rows: one a model and category: predicted, low, high (`confidence`, for the published rating).

    models: one row a model: how many benchmarks it has of all; leverage (`_leverages`) against the largest among
    the rated ones; the benchmarks on which it lies outside of them; extrapolates. weights: of what `auto` mixed.
    coverage: see `measured_coverage`. fell_back: category -> baseline that took over.
    """

    rows: pd.DataFrame
    models: pd.DataFrame
    weights: dict[str, float]
    coverage: dict[str, Any]
    fell_back: dict[str, str]
    method: str
    confidence: float
    limits: dict[str, Any]
    refused: list[dict[str, Any]]
    near: list[tuple[str, str]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "confidence": self.confidence,
            "forecast": records(self.rows),
            "models": records(self.models),
            "weights": self.weights,
            "coverage": self.coverage,
            "fell_back": self.fell_back,
            "near_names": [{"scores": a, "ratings": b} for a, b in self.near],
            "limits": self.limits,
            "refused": [{**claim, "words": in_words(claim)} for claim in self.refused],
            "notes": self.notes,
        }


def forecast(
    scores: Source | Sequence[Source],
    ratings: Source,
    models: Source | None = None,
    *,
    method: str = "auto",
    confidence: float = 0.9,
    **reading: Any,
) -> TableForecast:
    """Forecasts every category for every model with scores and no rating.

    method: of `engine.predicting.METHODS`. Intervals are CV+ over families (at most ten folds), so that they say
    what a model of a new family may be off by; where the scores state their own errors those are added. `reading`:
    see `sheets.joining.pair`. Raises ValueError where every model with scores is rated.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r}: allowed are {list(METHODS)}")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence={confidence:g}: must be from 0.5 to below 1")
    return forecast_pair(pair(scores, ratings, models, **reading), method, confidence)


def forecast_pair(
    data: Paired, method: str, confidence: float, learned_from: Paired | None = None
) -> TableForecast:
    """`forecast` on tables that are joined already.

    learned_from: the same rated models, with other unrated ones whose scores may be learned from; None: `data`.
    """
    if not data.unrated:
        raise ValueError(
            f"all {len(data.models)} models with scores are rated, so there is none to forecast; the fit command "
            "shows how well rated models are predicted when left out"
        )
    behind = data if learned_from is None else learned_from
    families = np.unique(behind.families, return_inverse=True)[1]
    n = len(behind.models)
    everyone = Fold(np.ones(n, bool), np.zeros(n, bool), np.ones(len(behind.unrated), bool))
    train = training(behind, everyone, families)
    count = len(data.unrated)
    scores, log_params, of = _with_nudges(data)
    everything = predict([method], train, scores, log_params)[method]
    noise = np.zeros((count, len(data.targets)))
    np.add.at(noise, of, (everything.new[count:] - everything.new[of]) ** 2)
    found = replace(everything, new=everything.new[:count], new_by_fold=everything.new_by_fold[:, :count])
    low, high = intervals(found, train.ratings, confidence)
    low, high = _widened(low, high, np.sqrt(noise), confidence)
    rows = pd.DataFrame(
        [
            {
                "model": model,
                "target": target,
                "predicted": found.new[i, t],
                # A fit on all models need not lie between its left-out siblings; an interval holds its own forecast.
                "low": min(low[i, t], found.new[i, t]),
                "high": max(high[i, t], found.new[i, t]),
            }
            for i, model in enumerate(data.unrated)
            for t, target in enumerate(data.targets)
        ]
    )
    about = _about(data)
    fell_back = dict(zip(data.targets, found.fell_back, strict=True)) if found.fell_back else {}
    return TableForecast(
        rows=rows,
        models=about,
        weights=found.weights,
        coverage=measured_coverage(behind, method, confidence),
        fell_back={target: name for target, name in fell_back.items() if name},
        method=method,
        confidence=confidence,
        limits=limits(data),
        refused=refused_claims(data, confidence=confidence),
        near=data.near,
        notes=[*data.notes, *_notes(rows, about, confidence, len(data.models), fell_back)],
    )


def measured_coverage(data: Paired, method: str, confidence: float) -> dict[str, Any]:
    """What such intervals promise, and how many ratings they hold of families left out in at most ten folds."""
    families = np.unique(data.families, return_inverse=True)[1]
    fold_of = inner_folds(families, CALIBRATION_FOLDS)
    everyone = np.ones(len(data.unrated), bool)
    held = count = 0
    for number in range(int(fold_of.max()) + 1):
        test = fold_of == number
        if (~test).sum() < MIN_TRAINING:
            continue
        train = training(data, Fold(~test, test, everyone), families)
        found = predict([method], train, data.scores[test], data.log_params[test])[method]
        low, high = intervals(found, train.ratings, confidence)
        truth = data.ratings[test]
        told = np.isfinite(high - low) & np.isfinite(truth)
        count += int(told.sum())
        held += int(((low <= truth) & (truth <= high))[told].sum())
    share = held / count if count else None
    return {
        "nominal": confidence,
        "guaranteed": guaranteed(confidence),
        "measured": share,
        "ratings": count,
        "words": coverage_words(confidence, share, count),
    }


def _with_nudges(data: Paired) -> tuple[Array, Array, NDArray[np.intp]]:
    """The models to forecast, below them each again with one benchmark raised by its error, and whose row that is."""
    known = data.other_score_errors
    errors = np.zeros_like(data.other_scores) if known is None else np.nan_to_num(known)
    model, benchmark = np.nonzero((errors > 0) & np.isfinite(data.other_scores))
    nudged = data.other_scores[model].copy()
    nudged[np.arange(len(model)), benchmark] += errors[model, benchmark]
    return (
        np.vstack([data.other_scores, nudged]),
        np.append(data.other_log_params, data.other_log_params[model]),
        model,
    )


def _widened(low: Array, high: Array, noise: Array, confidence: float) -> tuple[Array, Array]:
    """Independent noise of the scores added in quadrature: half-width h -> sqrt(h^2 + (z noise)^2)."""
    half = np.where(np.isfinite(high - low), (high - low) / 2, 0)
    extra = np.hypot(half, norm.ppf((1 + confidence) / 2) * noise) - half
    return low - extra, high + extra


def _about(data: Paired) -> pd.DataFrame:
    leverage, largest = _leverages(data)
    least, most = np.nanmin(data.scores, axis=0), np.nanmax(data.scores, axis=0)
    rows = []
    for i, model in enumerate(data.unrated):
        x = data.other_scores[i]
        outside = [
            name
            for name, value, low, high in zip(data.benchmarks, x, least, most, strict=True)
            if value < low or value > high
        ]
        rows.append(
            {
                "model": model,
                "benchmarks": int(np.isfinite(x).sum()),
                "of": len(x),
                "leverage": float(leverage[i]),
                "leverage_rated": largest,
                "outside": outside,
                "extrapolates": bool(outside) or bool(leverage[i] > largest),
            }
        )
    return pd.DataFrame(rows)


def _leverages(data: Paired) -> tuple[Array, float]:
    """h = (1 + d^2) / n of each unrated model, and the largest among the rated ones.

    d^2 is the squared Mahalanobis distance of the benchmarks that a model has, by the covariance of the rated
    ones as the level model shrinks it: with about as many benchmarks as models the plain one would call every new model
    far.
    """
    n = len(data.models)
    rated = standardised(data.scores, data.scores)
    normal = fit_normal(rated, STRENGTHS[-1])
    new = standardised(data.other_scores, data.scores)
    return (1 + normal.distances(new)) / n, float((1 + normal.distances(rated).max()) / n)


def _notes(
    rows: pd.DataFrame, about: pd.DataFrame, confidence: float, n: int, fell_back: dict[str, str]
) -> list[str]:
    notes = [
        "Intervals are for the rating as it would be published, its own noise included, and assume that a new model "
        "is to the rated ones as those are to each other."
    ]
    infinite = rows.loc[~np.isfinite(rows["high"] - rows["low"]), "target"].unique().tolist()
    if infinite:
        notes.append(
            f"No {confidence:.0%} interval for {', '.join(infinite)}: fewer than {models_needed(confidence)} of "
            f"the {n} rated models have a rating there."
        )
    far = about.loc[about["extrapolates"], "model"].tolist()
    if far:
        notes.append(f"Outside the rated models, so backed by no evidence: {', '.join(far)}.")
    taken = {name: [t for t, b in fell_back.items() if b == name] for name in set(fell_back.values()) - {""}}
    for name, targets in sorted(taken.items()):
        notes.append(f"Fell back to the baseline {name} for {', '.join(targets)}: nothing did better inside.")
    return notes
