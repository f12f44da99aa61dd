"""Joins a run's models with the public ones on the benchmarks that both have, so that their ratings can be forecast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tasks.preference.matching import match_scores
from tasks.preference.records import records
from tasks.preference.settings import PreferenceSettings
from tasks.preference.sheets.joining import Paired, pair
from tasks.preference.sheets.reading import Source, normalised
from tasks.preference.table import PublicTable


@dataclass(frozen=True)
class WithRun:
    """data: rated public models, and as unrated ones those of the run that have a benchmark.

    lacking: model of the run -> the benchmarks that it has not; all of them where it is not in `data`.
    """

    data: Paired
    lacking: dict[str, list[str]]


def public_models(table: PublicTable, settings: PreferenceSettings) -> Paired:
    """The table's models with its rating, or with the ratings by category of the file `settings.ratings`.

    Raises ValueError for a rating or benchmark that the table has not, and what `sheets.joining.pair` raises: fewer
    than three shared models, columns that do not vary.
    """
    figures = table.figures
    values = figures.values
    if settings.ratings is None and settings.rating not in values:
        raise ValueError(
            f"preference.rating={settings.rating!r}: {figures.name} has no such quantity; it has {list(values)}"
        )
    have = [name for name in values if name != settings.rating]
    wanted = settings.benchmarks or have
    unknown = [name for name in wanted if name not in have]
    if unknown or not wanted:
        raise ValueError(
            f"preference.benchmarks={unknown}: {figures.name} has no such benchmark; it has {have}"
        )
    ratings: Source | None = settings.ratings
    if ratings is None:
        own = {
            settings.rating: values[settings.rating],
            f"{settings.rating}_se": figures.errors[settings.rating],
        }
        rated = values[settings.rating].notna()
        ratings = pd.DataFrame(own)[rated].rename_axis("model").reset_index()
    scores = values[wanted].rename_axis("model").reset_index()
    about = figures.about.rename_axis("model").reset_index() if len(figures.about.columns) else None
    paired = pair(scores, ratings, about, join=settings.join)
    return replace(paired, notes=[*paired.notes, *table.notes])


def with_run(scores: pd.DataFrame, public: Paired, settings: PreferenceSettings) -> WithRun:
    """scores: rows of model, task, metric, value, stderr of the run's models.

    A model needs one of the public benchmarks; those it lacks only widen its uncertainty. One that stands among the
    public models is forecast without its own ratings.
    """
    known = pd.DataFrame(public.scores, index=public.models, columns=public.benchmarks)
    names = {task: name for task, name in settings.names.items() if name in public.benchmarks}
    matched = match_scores(scores, public.benchmarks, names, known)
    has = matched.scores.notna()
    own = matched.scores[has.any(axis=1)]
    lacking = {
        str(model): [name for name, there in zip(public.benchmarks, row, strict=True) if not there]
        for model, row in zip(has.index, has.to_numpy(), strict=True)
    }
    notes = [*public.notes, *matched.notes]
    ours = {normalised(str(name)) for name in own.index}
    others = np.array([normalised(name) not in ours for name in public.models], dtype=bool)
    if not others.all():
        gone = [name for name, keep in zip(public.models, others, strict=True) if not keep]
        notes.append(f"Of this run itself, so not learned from: {', '.join(gone)}.")
    data = replace(
        public.kept(others),
        unrated=[str(name) for name in own.index],
        other_scores=own.to_numpy(float),
        other_score_errors=matched.errors.loc[own.index].to_numpy(float),
        other_log_params=np.full(len(own), np.nan),
        other_dates=np.full(len(own), np.nan),
        notes=notes,
    )
    return WithRun(data, lacking)


def forecast_rows(joined: WithRun, rows: pd.DataFrame, models: pd.DataFrame) -> list[dict[str, Any]]:
    """rows, models of `table_forecast.TableForecast` as facts: one a model and category, in order of the models.

    A model without any of the benchmarks has one row without a rating.
    """
    far = dict(zip(models["model"], models["extrapolates"], strict=True))
    told = [
        {
            "model": row["model"],
            "target": row["target"],
            "rating": row["predicted"],
            "low": row["low"],
            "high": row["high"],
            "extrapolates": bool(far[row["model"]]),
            "missing": joined.lacking[row["model"]],
        }
        for row in records(rows)
    ]
    blank = dict.fromkeys(("target", "rating", "low", "high"))
    told += [
        {"model": model, **blank, "extrapolates": False, "missing": lacking}
        for model, lacking in joined.lacking.items()
        if model not in far
    ]
    return sorted(told, key=lambda row: row["model"])
