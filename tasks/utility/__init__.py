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
    from tasks.utility.agreement import auc, judge_agreement, rank_agreement
    from tasks.utility.allocation import label_gains
    from tasks.utility.anchors import calibrated, read_anchors
    from tasks.utility.judges import Judge, Verdict
    from tasks.utility.matrix import UtilityMatrix
    from tasks.utility.medu import medu_utility
    from tasks.utility.ngram import ngram_utility
    from tasks.utility.settings import UtilitySettings
    from tasks.utility.table import table_utility

_HOMES = {
    "Judge": "tasks.utility.judges",
    "UtilityMatrix": "tasks.utility.matrix",
    "UtilitySettings": "tasks.utility.settings",
    "Verdict": "tasks.utility.judges",
    "auc": "tasks.utility.agreement",
    "calibrated": "tasks.utility.anchors",
    "judge_agreement": "tasks.utility.agreement",
    "label_gains": "tasks.utility.allocation",
    "medu_utility": "tasks.utility.medu",
    "ngram_utility": "tasks.utility.ngram",
    "rank_agreement": "tasks.utility.agreement",
    "read_anchors": "tasks.utility.anchors",
    "table_utility": "tasks.utility.table",
}

__all__ = [
    "Judge",
    "UtilityMatrix",
    "UtilitySettings",
    "Verdict",
    "auc",
    "calibrated",
    "judge_agreement",
    "label_gains",
    "medu_utility",
    "ngram_utility",
    "rank_agreement",
    "read_anchors",
    "table_utility",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
