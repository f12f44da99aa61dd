"""A choice: which of several texts follows the context.

acc: the choice with the highest log-likelihood, and any that says the same; acc_norm: the highest a UTF-8 byte.
"""

from __future__ import annotations

from typing import Any

from tasks.benchmarks.kinds.item_kind import Item, ItemKind, Results, is_right, likeliest, one_of, utf8_bytes


def _context(item: Item) -> str:
    return item["context"]


def _choices(item: Item) -> list[str]:
    return item["choices"]


def _answer(item: Item) -> int:
    return item["answer"]


def _text(item: Item) -> str:
    return item["context"] + item["choices"][item["answer"]]


def _chosen(item: Item, results: Results, metric: str) -> int:
    nats = [value for value, _ in results]
    if metric == "acc_norm":
        nats = [value / utf8_bytes(choice) for value, choice in zip(nats, item["choices"], strict=True)]
    return likeliest(nats)


def _score(item: Item, results: Results) -> dict[str, Any]:
    right, choices = item["answer"], item["choices"]
    return {
        "acc": float(is_right(choices, _chosen(item, results, "acc"), right)),
        "acc_norm": float(is_right(choices, _chosen(item, results, "acc_norm"), right)),
        "bits_per_byte": (float(results[right][0]), utf8_bytes(choices[right])),
    }


def _answered(item: Item, results: Results, metric: str) -> tuple[str, str]:
    choices = item["choices"]
    return choices[_chosen(item, results, metric)], choices[item["answer"]]


KIND = ItemKind(
    name="choice",
    line="log p(choice | context), text exactly as it stands",
    fields=("id", "context", "choices", "answer"),
    alternatives="choices",
    beside="context",
    text=_text,
    harness={"doc_to_text": _context, "doc_to_choice": _choices, "doc_to_target": _answer},
    score=_score,
    metrics=("acc", "acc_norm", "bits_per_byte"),
    answered=_answered,
    guess=one_of,
)
