"""How people would rate a model, forecast from its benchmark scores, with intervals and baselines.

    from tasks.preference import PreferenceSettings, forecast
    result = forecast(scores, None, PreferenceSettings())  # None: the bundled table of public models

Public names load on first use, so that naming the stage costs no numerical library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.preference.forecasting import forecast
    from tasks.preference.result import Forecast
    from tasks.preference.settings import PreferenceSettings

_HOMES = {
    "PreferenceSettings": "tasks.preference.settings",
    "Forecast": "tasks.preference.result",
    "forecast": "tasks.preference.forecasting",
}

__all__ = ["Forecast", "PreferenceSettings", "forecast"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
