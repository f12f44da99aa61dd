"""A cloze: after which of several contexts the continuation is likeliest.

acc: the context after which it is; bits per byte are of the continuation after the right context.
"""

from __future__ import annotations

from typing import Any

from tasks.benchmarks.kinds.item_kind import Item, ItemKind, Results, is_right, likeliest, one_of, utf8_bytes


def _answer(item: Item) -> int:
    return item["answer"]


def _contexts(item: Item) -> list[str]:
    return item["contexts"]


def _continuation(item: Item) -> str:
    return item["continuation"]


def _text(item: Item) -> str:
    return item["contexts"][item["answer"]] + item["continuation"]


def _score(item: Item, results: Results) -> dict[str, Any]:
    right = item["answer"]
    return {
        "acc": float(is_right(item["contexts"], likeliest([nats for nats, _ in results]), right)),
        "bits_per_byte": (results[right][0], utf8_bytes(item["continuation"])),
    }


def _answered(item: Item, results: Results, metric: str) -> tuple[str, str]:
    contexts = item["contexts"]
    return contexts[likeliest([nats for nats, _ in results])], contexts[item["answer"]]


KIND = ItemKind(
    name="cloze",
    line="log p(continuation | context) for each context",
    fields=("id", "contexts", "continuation", "answer"),
    alternatives="contexts",
    beside="continuation",
    text=_text,
    # With several contexts, the harness asks `doc_to_text` for the place of the right one.
    harness={"doc_to_text": _answer, "doc_to_choice": _contexts, "doc_to_target": _continuation},
    score=_score,
    metrics=("acc", "bits_per_byte"),
    answered=_answered,
    guess=one_of,
)
