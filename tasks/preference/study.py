"""All that is said of some rated models: correlations, left-out errors and a forecast, with what must not be said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.preference.association.guard import in_words
from tasks.preference.correlating import correlate_pair
from tasks.preference.engine.folds import schemes_possible
from tasks.preference.engine.intervals import coverage_words
from tasks.preference.rating_fit import fit_pair
from tasks.preference.records import plain_value
from tasks.preference.settings import PreferenceSettings
from tasks.preference.sheets.joining import Paired
from tasks.preference.table_forecast import MODEL_COLUMNS, ROW_COLUMNS, forecast_pair

FRAMES = ("pairs", "predictive", "validation", "left_out", "rows", "models")
LEVEL = 0.05


@dataclass(frozen=True)
class Study:
    """The evidence on rated models and the forecast for unrated ones, as the report reads it.

    pairs: see `association.pairs.GuardedPairs`; predictive: see `association.structure.predictive_benchmarks`.
    validation: see `validating.validate`, with the column scheme. left_out: the method's forecast of each rated model,
    with the columns of `validating.Validation.cells` and scheme. rows, models: see `table_forecast.TableForecast`.
    about: counts, method, confidence, what the forecast is made of. refused: claims that the counts do not carry, in
    words. notes: plain sentences.
    """

    pairs: pd.DataFrame
    predictive: pd.DataFrame
    validation: pd.DataFrame
    left_out: pd.DataFrame
    rows: pd.DataFrame
    models: pd.DataFrame
    about: dict[str, Any]
    refused: tuple[str, ...]
    notes: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Writes one Parquet file a table and study.json into `folder`, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in FRAMES:
            getattr(self, name).to_parquet(folder / f"{name}.parquet", index=False)
        told = {"about": self.about, "refused": list(self.refused), "notes": list(self.notes)}
        text = json.dumps(plain_value(told), indent=1, allow_nan=False, ensure_ascii=False)
        (folder / "study.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Study:
        """Reads what `save` wrote."""
        told = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
        return cls(**frames, about=told["about"], refused=tuple(told["refused"]), notes=tuple(told["notes"]))


def study(
    data: Paired, settings: PreferenceSettings, about: Mapping[str, Any], new: Paired | None = None
) -> Study:
    """Correlates, validates in every scheme that the tables allow, and forecasts the unrated models of `new`.

    A left-out model's ratings are hidden in every category (see `validating`). about: what else the report tells. new:
    as `data` but for its unrated models, which are forecast and never learned from.
    """
    method, confidence, seed = settings.method, settings.confidence, settings.random_seed
    correlations = correlate_pair(data, settings.permutations, confidence, LEVEL, None, seed)
    fits = fit_pair(data, [method], schemes_possible(data), confidence, seed)
    forecast = forecast_pair(new, method, confidence, data) if new is not None and new.unrated else None
    found = fits.validations.items()
    first = next(row for row in next(iter(fits.validations.values())).summary() if row["method"] == method)
    cells = [part.cells[part.cells["method"] == method].assign(scheme=scheme) for scheme, part in found]
    notes = [
        *(new.notes if new else []),
        *correlations.notes,
        *fits.notes,
        *(forecast.notes if forecast else []),
    ]
    return Study(
        pairs=correlations.pairs,
        predictive=correlations.predictive,
        validation=pd.concat([part.table.assign(scheme=scheme) for scheme, part in found], ignore_index=True),
        left_out=pd.concat(cells, ignore_index=True),
        rows=pd.DataFrame(columns=ROW_COLUMNS) if forecast is None else forecast.rows,
        models=pd.DataFrame(columns=MODEL_COLUMNS) if forecast is None else forecast.models,
        about={
            "method": method,
            "confidence": confidence,
            "rated_models": data.models,
            "benchmarks": data.benchmarks,
            "targets": data.targets,
            "limits": fits.limits,
            "guard": correlations.guard,
            "coverage": coverage_words(confidence, first["coverage"], first["intervals"]),
            "summary": {scheme: part.summary() for scheme, part in found},
            "weights": {} if forecast is None else forecast.weights,
            "fell_back": {} if forecast is None else forecast.fell_back,
            **about,
        },
        refused=tuple(in_words(claim) for claim in correlations.refused),
        notes=tuple(dict.fromkeys(notes)),
    )
