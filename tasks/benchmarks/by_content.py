"""Numbers, sides and ids that depend on nothing but the content of an item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence


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


def lowest_by_content(texts: Sequence[str], max_items: int | None) -> list[int]:
    """Indices, ascending, of at most `max_items` texts, chosen by content and independently of the split."""
    if max_items is None or len(texts) <= max_items:
        return list(range(len(texts)))
    ranked = sorted(range(len(texts)), key=lambda i: (content_share(texts[i], "cap"), i))
    return sorted(ranked[:max_items])


def content_id(name: str, *parts: str) -> str:
    """An id for an item that has none: the task's name and a digest of its content."""
    return f"{name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"
