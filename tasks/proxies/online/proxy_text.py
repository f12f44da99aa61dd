"""The text that proxies read: so much of each source that epochs match, and sequences for validation beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.training.token_order import TokenOrder, generator

Tokens = NDArray[np.integer]


@dataclass(frozen=True)
class ProxyText:
    """train: source -> token ids, in the order of names; validation: source -> token ids (sequences, length)."""

    train: dict[str, Tokens]
    validation: dict[str, Tokens]

    @property
    def sources(self) -> list[str]:
        return list(self.train)


def proxy_text(
    tokens: Mapping[str, Tokens], limits: Mapping[str, int], length: int, validation: int
) -> ProxyText:
    """Windows of `length` tokens from all over each source, the same for every seed.

    limits: source -> tokens that may be trained on. validation: sequences a source that are measured on and
    never trained on, at most a tenth of its windows and one at least; a source of a single window is measured
    on what it is trained on. 0: none.
    """
    train, measured = {}, {}
    for source in sorted(tokens):
        text = tokens[source]
        num_windows = len(text) // length
        if num_windows < 2:
            train[source] = np.array(text)
            measured[source] = np.resize(train[source], (min(validation, 1), length))
            continue
        order = generator(0, "online", "windows", source).permutation(num_windows)
        held = min(validation, max(1, num_windows // 10))
        kept = min(max(1, limits[source] // length), num_windows - held)
        measured[source] = _windows(text, order[:held], length)
        train[source] = _windows(text, order[held : held + kept], length).reshape(-1)
    return ProxyText(train, measured)


def _windows(text: Tokens, numbers: NDArray[np.intp], length: int) -> Tokens:
    rows = [text[number * length : (number + 1) * length] for number in numbers]
    return np.array(rows, dtype=text.dtype).reshape(len(rows), length)


class SourceStreams:
    """Each source's sequences in the order of training runs of this seed; `position` (d,): how many were taken."""

    def __init__(self, text: ProxyText, length: int, most: int, random_seed: int) -> None:
        self._orders = [
            TokenOrder({source: tokens}, {source: most}, {}, length, "online", random_seed)
            for source, tokens in text.train.items()
        ]
        self.position = np.zeros(len(self._orders), dtype=np.int64)

    def take(self, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """The next counts[i] sequences of each source: token ids (n, length), and the source (n,) of each."""
        rows = [
            order.sequence(int(first) + number)
            for order, first, count in zip(self._orders, self.position, counts, strict=True)
            for number in range(count)
        ]
        self.position = self.position + counts
        return np.stack(rows), np.repeat(np.arange(len(counts)), counts)
