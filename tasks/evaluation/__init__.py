"""How good a causal language model is: benchmarks and held-out text, every score with its standard error.

    from tasks.evaluation import evaluate
    scores = evaluate(model, tokenizer, [benchmark, "arc_easy"], heldout={"code": documents})

Public names load on first use, so that naming the stage costs no model library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.evaluation.evaluating import evaluate
    from tasks.evaluation.harness_tasks import LmEvalItems, lm_eval_items
    from tasks.evaluation.heldout_text import bits_per_byte
    from tasks.evaluation.scores import Scores
    from tasks.evaluation.settings import EvaluationSettings, MadeTask

_HOMES = {
    "EvaluationSettings": "tasks.evaluation.settings",
    "LmEvalItems": "tasks.evaluation.harness_tasks",
    "MadeTask": "tasks.evaluation.settings",
    "Scores": "tasks.evaluation.scores",
    "bits_per_byte": "tasks.evaluation.heldout_text",
    "evaluate": "tasks.evaluation.evaluating",
    "lm_eval_items": "tasks.evaluation.harness_tasks",
}

__all__ = [
    "EvaluationSettings",
    "LmEvalItems",
    "MadeTask",
    "Scores",
    "bits_per_byte",
    "evaluate",
    "lm_eval_items",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
