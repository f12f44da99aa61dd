"""What to measure next: the benchmark, or the further model rated, that cuts the forecast's error most for its cost.

Benchmark b, measured on the models to forecast that lack it: by the normal of benchmarks and levels (`engine.level`)
the variance of a model's levels falls from S_LL - S_Lo S_oo^-1 S_oL to the same with b among the cells o at hand; no
value of b is needed for that. Model m, rated: in a ridge of the levels on the filled benchmarks with A = Z'Z + a I
the mean variance of the other forecasts falls by s^2 mean_j (z_j' A^-1 z_m)^2 / (1 + z_m' A^-1 z_m). Both in the
ratings' own units, as a share of the mean squared deviation of the ratings, averaged over the categories.

Tried backwards on dated tables: from the models before each date, the cut that was promised by a benchmark for a
later model stands against the cut of squared error that its value then brought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from tasks.preference.engine.gaussian import Normal, standardised
from tasks.preference.engine.level import STRENGTHS, LevelModel, completed, fit_level
from tasks.preference.records import records
from tasks.preference.sheets.joining import Paired, pair
from tasks.tables.reading import Source, not_empty, table_of
from tasks.tables.table import column_named, number, text

Array = NDArray[np.float64]
MIN_PAST = 8
RIDGE = 1.0


@dataclass(frozen=True)
class NextMeasurements:
    """benchmarks: benchmark, lacking (models to forecast without it), cut (share of the ratings' variance), cost (of
    all of those), cut_per_cost. models: model, cut, cost, cut_per_cost. backwards: None without dates, else cells,
    dates, models, spearman of promised and brought cuts over the benchmarks' means, and the mean cut of squared error
    brought by the benchmark promised best, by one drawn by lot, and by the best in hindsight.
    """

    benchmarks: pd.DataFrame
    models: pd.DataFrame
    backwards: dict[str, Any] | None
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "benchmarks": records(self.benchmarks),
            "models": records(self.models),
            "backwards": self.backwards,
            "notes": self.notes,
        }


def measure_next(
    scores: Source | Sequence[Source],
    ratings: Source,
    models: Source | None = None,
    *,
    costs: Source | None = None,
    **reading: Any,
) -> NextMeasurements:
    """Ranks what is not measured yet. costs: table of name and cost (of a benchmark on one model, or of rating a
    model), 1 where a name is not in it. `reading`: see `sheets.joining.pair`."""
    data = pair(scores, ratings, models, **reading)
    price = {} if costs is None else read_costs(costs)
    unknown = sorted(set(price) - set(data.benchmarks) - set(data.unrated))
    if unknown:
        raise ValueError(f"costs of {unknown}: neither a benchmark nor a model without a rating")
    return rank_next(data, price)


def read_costs(source: Source) -> dict[str, float]:
    """Name and cost, above 0, of each row."""
    sheet = not_empty(table_of(source, "costs"))
    name, cost = column_named(sheet, ("name", "benchmark", "model")), column_named(sheet, ("cost",))
    if name is None or cost is None:
        raise ValueError(f"{sheet.name}: columns name and cost are needed; columns are {sheet.columns}")
    found: dict[str, float] = {}
    for place, row in sheet.rows:
        key, value = text(sheet, place, row, name), number(sheet, place, cost, row[cost], "a cost")
        if value <= 0 or key in found:
            raise ValueError(
                f"{sheet.name} {place}: cost {value:g} of {key!r} must be above 0, and stand once"
            )
        found[key] = value
    return found


def rank_next(data: Paired, costs: Mapping[str, float]) -> NextMeasurements:
    """`measure_next` on tables that are joined already."""
    to_forecast = data.other_scores if len(data.unrated) else data.scores
    model = fit_level(data.scores, completed(data.ratings), data.other_scores[:0], STRENGTHS[0])
    spread = float(np.nanvar(data.ratings, axis=0).mean())
    promised = promised_cuts(model, to_forecast) / spread
    lacking = np.isnan(to_forecast)
    rows = []
    for j, name in enumerate(data.benchmarks):
        price = costs.get(name, 1.0) * int(lacking[:, j].sum())
        cut = float(promised[:, j].sum() / len(to_forecast))
        rows.append([name, int(lacking[:, j].sum()), cut, price, cut / price if price else 0.0])
    benchmarks = pd.DataFrame(rows, columns=["benchmark", "lacking", "cut", "cost", "cut_per_cost"])
    notes = list(data.notes)
    if not len(data.unrated):
        notes.append("Every model with scores is rated: cuts are for models like the rated ones.")
    further = _further_models(data, model, costs, spread)
    return NextMeasurements(
        benchmarks.sort_values("cut_per_cost", ascending=False, ignore_index=True),
        further,
        backwards(data),
        notes,
    )


def promised_cuts(model: LevelModel, scores: Array) -> Array:
    """Fall of the variance of each model's ratings (m, p), mean over categories, by each benchmark it lacks; else 0."""
    slopes = model.slopes[1:]
    weight = slopes @ slopes.T / slopes.shape[1]
    rows = standardised(scores, model.reference)
    found = np.zeros(rows.shape)
    for i, row in enumerate(rows):
        there = np.flatnonzero(np.isfinite(row))
        base = np.sum(weight * level_covariance(model.normal, there, len(slopes)))
        for j in np.flatnonzero(~np.isfinite(row)):
            with_j = level_covariance(model.normal, np.append(there, j), len(slopes))
            found[i, j] = base - np.sum(weight * with_j)
    return found


def level_covariance(normal: Normal, there: NDArray[np.intp], levels: int) -> Array:
    """Covariance (L, L) of the levels, the last columns of the normal, given the benchmarks `there`."""
    s = normal.covariance
    own = s[-levels:, -levels:]
    if not len(there):
        return own
    cross = s[there][:, -levels:]
    return own - cross.T @ np.linalg.solve(s[np.ix_(there, there)], cross)


def _further_models(
    data: Paired, model: LevelModel, costs: Mapping[str, float], spread: float
) -> pd.DataFrame:
    columns = ["model", "cut", "cost", "cut_per_cost"]
    if len(data.unrated) < 2:
        return pd.DataFrame(columns=columns)
    blank = np.full((len(data.scores) + len(data.other_scores), len(model.slopes) - 1), np.nan)
    both = standardised(np.vstack([data.scores, data.other_scores]), model.reference)
    filled = model.normal.expected(np.hstack([both, blank]))[:, : both.shape[1]]
    z, new = np.split(np.column_stack([np.ones(len(filled)), filled]), [len(data.scores)])
    penalty = np.append(0.0, np.full(both.shape[1], RIDGE))
    inverse = np.linalg.inv(z.T @ z + np.diag(penalty))
    residual = np.nanmean((model.predict(data.scores) - data.ratings) ** 2)
    shared = new @ inverse @ new.T
    cuts = residual * shared**2 / (1 + np.diag(shared))[None]
    np.fill_diagonal(cuts, 0)
    rows = [
        [name, cut, costs.get(name, 1.0), cut / costs.get(name, 1.0)]
        for name, cut in zip(data.unrated, cuts.sum(0) / (len(new) - 1) / spread, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns).sort_values("cut_per_cost", ascending=False, ignore_index=True)


def backwards(data: Paired) -> dict[str, Any] | None:
    """Promised against brought cuts on later models, each from the models before it; None with too few dates.

    A later model is forecast from half of its benchmarks (every other one in order of the table); each of the rest
    is then revealed alone.
    """
    known = np.isfinite(data.dates)
    cells = []
    for date in np.unique(data.dates[known]):
        past, now = known & (data.dates < date), np.flatnonzero(known & (data.dates == date))
        if past.sum() < MIN_PAST:
            continue
        model = fit_level(data.scores[past], completed(data.ratings[past]), data.scores[:0], STRENGTHS[0])
        for i in now:
            has = np.flatnonzero(np.isfinite(data.scores[i]))
            for kept in (has[::2], has[1::2]):
                cells += _revealed(data, model, int(i), date, kept, np.setdiff1d(has, kept))
    if not cells:
        return None
    frame = pd.DataFrame(cells, columns=["model", "date", "half", "benchmark", "promised", "brought"])
    means = frame.groupby("benchmark")[["promised", "brought"]].mean()
    choices = frame.groupby(["model", "half"])
    best = frame.loc[choices["promised"].idxmax(), "brought"]
    return {
        "cells": len(frame),
        "dates": int(frame["date"].nunique()),
        "models": int(frame["model"].nunique()),
        "spearman_of_benchmarks": float(stats.spearmanr(means["promised"], means["brought"])[0])
        if len(means) > 2
        else None,
        "brought_by_promised_best": float(best.mean()),
        "brought_by_lot": float(choices["brought"].mean().mean()),
        "brought_by_best_in_hindsight": float(choices["brought"].max().mean()),
    }


def _revealed(
    data: Paired, model: LevelModel, i: int, date: float, kept: NDArray[np.intp], hidden: NDArray[np.intp]
) -> list[list[Any]]:
    row = np.full(data.scores.shape[1], np.nan)
    row[kept] = data.scores[i, kept]
    rated = np.isfinite(data.ratings[i])
    promised = promised_cuts(model, row[None])[0]
    tried = np.tile(row, (len(hidden) + 1, 1))
    tried[np.arange(len(hidden)), hidden] = data.scores[i, hidden]
    errors = ((model.predict(tried)[:, rated] - data.ratings[i, rated]) ** 2).mean(1)
    return [
        [i, date, int(kept[0]) if len(kept) else -1, data.benchmarks[j], promised[j], errors[-1] - errors[k]]
        for k, j in enumerate(hidden)
    ]
