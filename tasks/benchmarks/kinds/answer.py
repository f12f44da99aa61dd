"""An answer: what the model writes after the context, compared with the accepted answers, of which the first is gold.

acc: whether an accepted answer is the greedy text; bits per byte are of the first.
"""

from __future__ import annotations

from typing import Any

from tasks.benchmarks.kinds.item_kind import Item, ItemKind, Results, utf8_bytes


def _context(item: Item) -> str:
    return item["context"]


def _answers(item: Item) -> list[str]:
    return item["answers"]


def _first(item: Item) -> int:
    return 0


def _text(item: Item) -> str:
    return item["context"] + item["answers"][0]


def _score(item: Item, results: Results) -> dict[str, Any]:
    return {
        "acc": float(any(greedy for _, greedy in results)),
        "bits_per_byte": (results[0][0], utf8_bytes(item["answers"][0])),
    }


def _answered(item: Item, results: Results, metric: str) -> tuple[str, str]:
    answers = item["answers"]
    written = [text for text, (_, greedy) in zip(answers, results, strict=True) if greedy]
    return (written or [""])[0], answers[0]


KIND = ItemKind(
    name="answer",
    line="the first is the gold text, all are accepted",
    fields=("id", "context", "answers"),
    alternatives="answers",
    beside="context",
    text=_text,
    harness={"doc_to_text": _context, "doc_to_choice": _answers, "doc_to_target": _first},
    score=_score,
    metrics=("acc", "bits_per_byte"),
    answered=_answered,
)
