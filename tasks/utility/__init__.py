"""How useful a source is for a task: a sources x tasks matrix in [0, 1] with standard errors.

    from tasks.utility import UtilitySettings, ngram_utility
    matrix = ngram_utility(samples, dev_items, UtilitySettings().ngram)
    matrix.values, matrix.errors, matrix.about

Public names load on first use, so that naming the stage costs no numerical library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.utility.matrix import UtilityMatrix
    from tasks.utility.medu import medu_utility
    from tasks.utility.ngram import ngram_utility
    from tasks.utility.settings import UtilitySettings
    from tasks.utility.table import table_utility

_HOMES = {
    "UtilityMatrix": "tasks.utility.matrix",
    "UtilitySettings": "tasks.utility.settings",
    "medu_utility": "tasks.utility.medu",
    "ngram_utility": "tasks.utility.ngram",
    "table_utility": "tasks.utility.table",
}

__all__ = ["UtilityMatrix", "UtilitySettings", "medu_utility", "ngram_utility", "table_utility"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
