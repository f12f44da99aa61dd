"""A run's models joined with public ones on the benchmarks both have, and their ratings forecast by category."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.preference.matching import match_scores
from tasks.preference.settings import PreferenceSettings
from tasks.preference.sheets.joining import Paired, pair
from tasks.preference.table import ModelTable, normalised
from tasks.preference.table_forecast import TableForecast, forecast_pair


def public_models(table: ModelTable, settings: PreferenceSettings, ratings: Path) -> Paired:
    """The table's models with the ratings by category that the file `ratings` has of them.

    Raises ValueError for what `sheets.joining.pair` raises: fewer than three shared models, cells that are no numbers.
    """
    scores = table.values.drop(columns=[settings.rating])
    about = pd.DataFrame({"family": table.families, "params_b": table.params_b})
    chosen = settings.benchmarks or list(scores.columns)
    return pair(
        scores[chosen].rename_axis("model").reset_index(),
        ratings,
        about.rename_axis("model").reset_index(),
        join=settings.join,
    )


def forecast_profile(
    scores: pd.DataFrame, table: ModelTable, settings: PreferenceSettings, ratings: Path
) -> TableForecast:
    """Forecast by category of every model in `scores` (rows of model, task, metric, value, stderr).

    A model needs one of the public benchmarks; those it lacks only widen its uncertainty. One that stands in the table
    is forecast without its own ratings. Models without any are told in the notes. rows and models of the result
    are of the run alone.
    """
    public = public_models(table, settings, ratings)
    known = table.values.reindex(public.models)[public.benchmarks]
    names = {task: name for task, name in settings.names.items() if name in public.benchmarks}
    matched = match_scores(scores, public.benchmarks, names, known)
    own = matched.scores[matched.scores.notna().any(axis=1)]
    bare = [name for name in matched.scores.index if name not in own.index]
    notes = [*public.notes, *matched.notes]
    if bare:
        notes.append(
            f"No profile of {', '.join(bare)}: of the benchmarks {', '.join(public.benchmarks)} they have none."
        )
    ours = {normalised(str(name)) for name in own.index}
    others = np.array([normalised(name) not in ours for name in public.models], dtype=bool)
    if not others.all():
        gone = [name for name, keep in zip(public.models, others, strict=True) if not keep]
        notes.append(f"Of this run itself, so not learned from: {', '.join(gone)}.")
    if own.empty:
        return _nothing(public, settings.confidence, notes)
    data = replace(
        public.kept(others),
        unrated=[str(name) for name in own.index],
        other_scores=own.to_numpy(float),
        other_score_errors=matched.errors.loc[own.index].to_numpy(float),
        other_log_params=np.full(len(own), np.nan),
        other_dates=np.full(len(own), np.nan),
        notes=notes,
    )
    return forecast_pair(data, "auto", settings.confidence)


def _nothing(public: Paired, confidence: float, notes: list[str]) -> TableForecast:
    rows = pd.DataFrame(columns=["model", "target", "predicted", "low", "high"])
    models = pd.DataFrame(
        columns=["model", "benchmarks", "of", "leverage", "leverage_rated", "outside", "extrapolates"]
    )
    return TableForecast(rows, models, {}, {}, "auto", confidence, {}, [], public.near, notes)
