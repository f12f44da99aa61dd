"""Benchmark items: what a task asks, what counts as contamination by it, and its split into dev and test."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.benchmarks.by_content import split_by_content
from tasks.benchmarks.kinds import KINDS_BY_NAME
from tasks.benchmarks.kinds.item_kind import Item
from tasks.tables.json_lines import read_json_lines


@dataclass(frozen=True)
class Benchmark:
    """A task: name, kind of its items, source it was made from (None: a file), headline metric, items.

    Raises ValueError for an unknown kind and for items that lack a field or whose answer is out of range.
    """

    name: str
    kind: str
    source: str | None
    metric: str
    items: list[Item]

    def __post_init__(self) -> None:
        if self.kind not in KINDS_BY_NAME:
            raise ValueError(
                f"benchmark {self.name!r}: kind {self.kind!r}; allowed: {', '.join(KINDS_BY_NAME)}"
            )
        kind = KINDS_BY_NAME[self.kind]
        for item in self.items:
            missing = [field for field in kind.fields if field not in item]
            if missing:
                raise ValueError(f"benchmark {self.name!r}: item {item.get('id')!r} lacks {missing}")
            where, options = f"benchmark {self.name!r}: item {item['id']!r}", kind.options(item)
            if not isinstance(options, list) or not all(
                isinstance(text, str) and text.strip() for text in options
            ):
                raise ValueError(
                    f"{where}: {kind.alternatives} {str(options)[:200]}; allowed: strings that hold text"
                )
            if not isinstance(item[kind.beside], str):
                raise ValueError(f"{where}: {kind.beside} is no string: {str(item[kind.beside])[:80]}")
            answer = item.get("answer", 0)
            if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(options):
                raise ValueError(f"{where}: answer {item.get('answer')!r}; allowed: 0 to {len(options) - 1}")
            if "continuation" in kind.fields and not item["continuation"].strip():
                raise ValueError(f"{where}: continuation is empty; allowed: a string that holds text")


def item_text(kind: str, item: Item) -> str:
    """The item with its right answer, as a document would hold it: having it is contamination."""
    return item.get("text") or KINDS_BY_NAME[kind].text(item)


def requests_of(benchmark: Benchmark) -> tuple[int, int]:
    """(requests, UTF-8 bytes of their texts) that scoring all items takes: one a choice, context or answer."""
    kind = KINDS_BY_NAME[benchmark.kind]
    requests, size = 0, 0
    for item in benchmark.items:
        alternatives, beside = kind.options(item), item[kind.beside]
        requests += len(alternatives)
        size += sum(len((beside + text).encode("utf-8", "replace")) for text in alternatives)
    return requests, size


def split_dev_test(benchmark: Benchmark, dev_share: float) -> tuple[Benchmark, Benchmark]:
    """The benchmark's dev items (all that utility may see) and test items (what scores are made of).

    By the items' content, see `split_by_content`, whose ValueErrors it raises.
    """
    texts = [item_text(benchmark.kind, item) for item in benchmark.items]
    dev, test = split_by_content(texts, dev_share, benchmark.name)
    return (
        replace(benchmark, items=[benchmark.items[i] for i in dev]),
        replace(benchmark, items=[benchmark.items[i] for i in test]),
    )


def dev_texts(dev: Benchmark) -> list[str]:
    """What utility may see of a dev benchmark: each item's text with its right answer."""
    return [item_text(dev.kind, item) for item in dev.items]


def write_items(path: Path, items: Iterable[Item]) -> None:
    """One item a line, as JSON."""
    with path.open("w", encoding="utf-8") as stream:
        for item in items:
            stream.write(json.dumps(item, ensure_ascii=False) + "\n")


def read_items(path: Path) -> list[Item]:
    """The items of a file written by `write_items`; ValueError naming file and line where one is broken."""
    return [item for _, item in read_json_lines(path)]
