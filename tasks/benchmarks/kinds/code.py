"""Code: a program that the model writes, which must pass tests; the reference that stands beside it passes them.

bits per byte are of the reference after the context. What a model writes is run only where that is asked for
(`tasks.benchmarks.code_tasks`): then pass@k is a metric, too.
"""

from __future__ import annotations

from typing import Any

from tasks.benchmarks.kinds.item_kind import Item, ItemKind, Results, WrittenCode, utf8_bytes


def _context(item: Item) -> str:
    return item["context"]


def _references(item: Item) -> list[str]:
    return item["references"]


def _first(item: Item) -> int:
    return 0


def _text(item: Item) -> str:
    return item["context"] + item["references"][0]


def _score(item: Item, results: Results) -> dict[str, Any]:
    return {"bits_per_byte": (results[0][0], utf8_bytes(item["references"][0]))}


def _answered(item: Item, results: Any, metric: str) -> tuple[str, str]:
    written = [one for one in results if isinstance(one, str)]
    return (written or [""])[0], item["references"][0]


def _program(item: Item, written: str) -> str:
    return f"{item['begin']}{written}\n\n{item['tests']}\n"


def _stops(item: Item) -> list[str]:
    return item["stops"]


KIND = ItemKind(
    name="code",
    line="the reference is the gold text; what is written instead must pass tests",
    fields=("id", "context", "references", "begin", "tests", "stops"),
    alternatives="references",
    beside="context",
    text=_text,
    harness={"doc_to_text": _context, "doc_to_choice": _references, "doc_to_target": _first},
    score=_score,
    metrics=("bits_per_byte",),
    answered=_answered,
    code=WrittenCode(_stops, _program),
)
