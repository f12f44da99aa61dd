"""Benchmark items: what a task asks, what counts as contamination by it, and its split into dev and test.

An item is a JSON object of one of three kinds, one kind a task:

    choice  {"id", "context", "choices", "answer"}         log p(choice | context), text exactly as it stands
    cloze   {"id", "contexts", "continuation", "answer"}   log p(continuation | context) for each context
    answer  {"id", "context", "answers"}                   the first is the gold text, all are accepted

An item may carry "text": what it says without the labels ("Question:", "Answer:") of its prompt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from tasks.tables.json_lines import read_json_lines

Kind = Literal["choice", "cloze", "answer"]
KINDS: tuple[str, ...] = get_args(Kind)
FIELDS = {
    "choice": ("id", "context", "choices", "answer"),
    "cloze": ("id", "contexts", "continuation", "answer"),
    "answer": ("id", "context", "answers"),
}
Item = dict[str, Any]


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
        if self.kind not in KINDS:
            raise ValueError(f"benchmark {self.name!r}: kind {self.kind!r}; allowed: {', '.join(KINDS)}")
        for item in self.items:
            missing = [field for field in FIELDS[self.kind] if field not in item]
            if missing:
                raise ValueError(f"benchmark {self.name!r}: item {item.get('id')!r} lacks {missing}")
            if not 0 <= item.get("answer", 0) < len(options(self.kind, item)):
                raise ValueError(
                    f"benchmark {self.name!r}: item {item['id']!r}: answer {item.get('answer')!r}; "
                    f"allowed: 0 to {len(options(self.kind, item)) - 1}"
                )


def options(kind: str, item: Item) -> list[str]:
    """The alternatives of an item: its choices, its contexts, or its accepted answers."""
    return item[{"choice": "choices", "cloze": "contexts", "answer": "answers"}[kind]]


def item_text(kind: str, item: Item) -> str:
    """The item with its right answer, as a document would hold it: having it is contamination."""
    if text := item.get("text"):
        return text
    if kind == "cloze":
        return item["contexts"][item["answer"]] + item["continuation"]
    if kind == "choice":
        return item["context"] + item["choices"][item["answer"]]
    return item["context"] + item["answers"][0]


def requests_of(benchmark: Benchmark) -> tuple[int, int]:
    """(requests, UTF-8 bytes of their texts) that scoring all items takes: one a choice, context or answer."""
    requests, size = 0, 0
    for item in benchmark.items:
        alternatives = options(benchmark.kind, item)
        beside = item["continuation"] if benchmark.kind == "cloze" else item["context"]
        requests += len(alternatives)
        size += sum(len((beside + text).encode("utf-8", "replace")) for text in alternatives)
    return requests, size


def content_share(text: str, purpose: str) -> float:
    """A number in [0, 1) that depends on the text alone; another purpose gives an independent number."""
    digest = hashlib.sha256(f"{purpose}\0{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split_by_content(texts: Sequence[str], dev_share: float, name: str) -> tuple[list[int], list[int]]:
    """Indices of the texts that are dev and of those that are test, in the order given.

    A text's side depends on nothing but its content, so that adding items moves none, and equal texts are
    never on both sides. Only where a side would stay empty does the text with the lowest number (dev) or the
    highest (test) go there, with its equals.
    Raises ValueError for a share outside (0, 1) and for fewer than two different texts.
    """
    if not 0 < dev_share < 1:
        raise ValueError(f"dev_share is {dev_share}; allowed: above 0 and below 1")
    if len(set(texts)) < 2:
        raise ValueError(
            f"benchmark {name!r} has {len(set(texts))} different item(s); "
            "allowed: at least 2, one for dev and one for test"
        )
    numbers = [content_share(text, "split") for text in texts]
    threshold = dev_share
    if min(numbers) >= dev_share:
        threshold = min(number for number in numbers if number > min(numbers))
    elif max(numbers) < dev_share:
        threshold = max(numbers)
    dev = [i for i, number in enumerate(numbers) if number < threshold]
    test = [i for i, number in enumerate(numbers) if number >= threshold]
    return dev, test


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


def lowest_by_content(texts: Sequence[str], max_items: int | None) -> list[int]:
    """Indices, ascending, of at most `max_items` texts, chosen by content and independently of the split."""
    if max_items is None or len(texts) <= max_items:
        return list(range(len(texts)))
    ranked = sorted(range(len(texts)), key=lambda i: (content_share(texts[i], "cap"), i))
    return sorted(ranked[:max_items])


def dev_texts(dev: Benchmark) -> list[str]:
    """What utility may see of a dev benchmark: each item's text with its right answer."""
    return [item_text(dev.kind, item) for item in dev.items]


def content_id(name: str, *parts: str) -> str:
    """An id for an item that has none: the task's name and a digest of its content."""
    return f"{name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"


def write_items(path: Path, items: Iterable[Item]) -> None:
    """One item a line, as JSON."""
    with path.open("w", encoding="utf-8") as stream:
        for item in items:
            stream.write(json.dumps(item, ensure_ascii=False) + "\n")


def read_items(path: Path) -> list[Item]:
    """The items of a file written by `write_items`; ValueError naming file and line where one is broken."""
    return [item for _, item in read_json_lines(path)]
