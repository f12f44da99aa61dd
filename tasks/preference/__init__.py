"""How people would rate a model: from votes to ratings, from benchmarks to a forecast, with intervals and baselines.

    from tasks.preference import correlate, forecast, validate
    validate("scores.csv", "ratings.csv", ["auto"], "leave-one-model-out")   # a row a category and method
    forecast("scores.csv", "ratings.csv")                                    # the models without a rating
    aggregate("votes.csv").table("elo")                                      # ratings from judgements

Tables may be files (CSV, Parquet, JSON lines) or DataFrames. Public names load on first use, so that naming the stage
costs no numerical library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.preference.annotation.aggregating import aggregate
    from tasks.preference.correlating import correlate
    from tasks.preference.settings import PreferenceSettings
    from tasks.preference.study import Study
    from tasks.preference.table_forecast import forecast
    from tasks.preference.validating import validate

_HOMES = {
    "PreferenceSettings": "tasks.preference.settings",
    "Study": "tasks.preference.study",
    "aggregate": "tasks.preference.annotation.aggregating",
    "correlate": "tasks.preference.correlating",
    "validate": "tasks.preference.validating",
    "forecast": "tasks.preference.table_forecast",
}

__all__ = ["PreferenceSettings", "Study", "aggregate", "correlate", "forecast", "validate"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
