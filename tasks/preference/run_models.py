"""Joins a run's models with the public ones on the benchmarks that both have, so that their ratings can be forecast."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.evaluation.snapshot_names import trained_model
from tasks.preference.matching import match_scores, tasks_for
from tasks.preference.public_table import PublicTable
from tasks.preference.records import records
from tasks.preference.settings import PreferenceSettings
from tasks.preference.sheets.joining import Paired, pair
from tasks.preference.sheets.model_names import normalised
from tasks.tables.reading import Source


@dataclass(frozen=True)
class WithRun:
    """public: what is learned from, without the run's own models. own: the same, its unrated models those of the run.

    lacking: model of the run -> the benchmarks that it has not; all of them where it is not in `own`.
    """

    public: Paired
    own: Paired
    lacking: dict[str, list[str]]


def public_models(table: PublicTable, settings: PreferenceSettings, without: Collection[str] = ()) -> Paired:
    """The table's models with its rating, or with the ratings by category of the file `settings.ratings`.

    without: names of models to leave out beside those of the settings. Raises ValueError for a rating, a
    benchmark or a model that the settings name and the table has not, and what `sheets.joining.pair` raises: fewer
    than three shared models, columns that do not vary.
    """
    figures = table.figures
    values = figures.values
    _check_columns(figures.name, [str(name) for name in values], settings)
    strange = sorted(set(settings.leave_out) - set(values.index))
    if strange:
        raise ValueError(f"preference.leave_out={strange}: {figures.name} has no such models")
    gone = {normalised(name) for name in (*without, *settings.leave_out)}
    values = values[[normalised(str(name)) not in gone for name in values.index]]
    ratings: Source | None = settings.ratings
    if ratings is None:
        errors = figures.errors.loc[values.index, settings.rating]
        own = {settings.rating: values[settings.rating], f"{settings.rating}_se": errors}
        rated = values[settings.rating].notna()
        ratings = pd.DataFrame(own)[rated].rename_axis("model").reset_index()
    wanted = _wanted(table, settings)
    scores = values[wanted].rename_axis("model").reset_index()
    about = figures.about.rename_axis("model").reset_index() if len(figures.about.columns) else None
    if about is not None and "date" in about:
        about["date"] = pd.to_datetime(about["date"], unit="D")
    paired = pair(scores, ratings, about, join=settings.join)
    notes = [*paired.notes, *table.notes]
    bare = values.index[values[wanted].isna().all(axis=1)].tolist()
    if bare:
        notes.append(f"Public models without any of the benchmarks, left out: {', '.join(bare)}.")
    return replace(paired, notes=notes)


def _check_columns(table: str, have: list[str], settings: PreferenceSettings) -> None:
    """Raise ValueError for settings that name what the table has not, or that would take a rating for a benchmark."""
    benchmarks = [name for name in have if name != settings.rating]
    if settings.rating not in have and (settings.ratings is None or settings.benchmarks is None):
        raise ValueError(
            f"preference.rating={settings.rating!r}: {table} has no such quantity; it has {have}. Where it holds no "
            "rating, list preference.benchmarks"
        )
    if not benchmarks:
        raise ValueError(f"preference.table: {table} holds {settings.rating} alone; a benchmark is needed")
    for field, named in (("benchmarks", settings.benchmarks or ()), ("names", settings.names.values())):
        unknown = [name for name in named if name not in benchmarks]
        if unknown:
            raise ValueError(
                f"preference.{field}={unknown}: {table} has no such benchmark; it has {benchmarks}"
            )


def with_run(scores: pd.DataFrame, table: PublicTable, settings: PreferenceSettings) -> WithRun:
    """scores: rows of model, task, metric, value, stderr of the run's models.

    A model needs one of the public benchmarks; those it lacks only widen its uncertainty. Of a model that stands among
    the public ones nothing is learned, so that none is forecast from its own rating.
    """
    ours = {normalised(trained_model(str(name))) for name in scores["model"]}
    gone = [name for name in map(str, table.figures.values.index) if normalised(name) in ours]
    public = public_models(table, settings, gone)
    known = table.figures.values.reindex(columns=public.benchmarks)
    names = {task: name for task, name in settings.names.items() if name in public.benchmarks}
    matched = match_scores(scores, public.benchmarks, names, known)
    has = matched.scores.notna()
    own = matched.scores[has.any(axis=1)]
    lacking = {
        str(model): [name for name, there in zip(public.benchmarks, row, strict=True) if not there]
        for model, row in zip(has.index, has.to_numpy(), strict=True)
    }
    notes = [*public.notes, *matched.notes]
    if gone:
        notes.append(f"Of this run itself, so not learned from: {', '.join(gone)}.")
    data = replace(
        public,
        unrated=[str(name) for name in own.index],
        other_scores=own.to_numpy(float),
        other_score_errors=matched.errors.loc[own.index].to_numpy(float),
        other_log_params=np.full(len(own), np.nan),
        other_dates=np.full(len(own), np.nan),
        notes=notes,
    )
    return WithRun(public, data, lacking)


def left_out_words(table: PublicTable, settings: PreferenceSettings) -> str:
    """Why there is no study: said where no task of a run is a benchmark of the table."""
    named = ", ".join(_wanted(table, settings))
    return f"the study was left out: no task of the run is a benchmark of {Path(table.figures.name).name} ({named})"


def any_usable(table: PublicTable, settings: PreferenceSettings, tasks: Collection[str]) -> bool:
    """Whether one of the tasks is taken for a benchmark of the table; of their metrics nothing is asked."""
    wanted = _wanted(table, settings)
    names = {task: name for task, name in settings.names.items() if name in wanted}
    return any(len(tasks_for(benchmark, sorted(tasks), names)) == 1 for benchmark in wanted)


def _wanted(table: PublicTable, settings: PreferenceSettings) -> list[str]:
    return settings.benchmarks or [str(name) for name in table.figures.values if name != settings.rating]


def forecast_rows(
    lacking: Mapping[str, list[str]], rows: pd.DataFrame, models: pd.DataFrame
) -> list[dict[str, Any]]:
    """rows, models of `table_forecast.TableForecast` as facts: one a model and category, in order of the models.

    lacking: see `WithRun`. A model without any of the benchmarks has one row without a rating.
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
            "missing": lacking[row["model"]],
        }
        for row in records(rows)
    ]
    told += not_forecast({model: names for model, names in lacking.items() if model not in far})
    return sorted(told, key=lambda row: row["model"])


def not_forecast(lacking: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """The rows of models without a forecast, in order."""
    blank = dict.fromkeys(("target", "rating", "low", "high"))
    rows = [{"model": name, **blank, "extrapolates": False, "missing": lacking[name]} for name in lacking]
    return sorted(rows, key=lambda row: row["model"])
