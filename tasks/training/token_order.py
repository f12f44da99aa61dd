"""The order in which a training run reads its sources: fixed by the token plan, the lineage and a seed.

Sequence number n of a run is the same on every machine and after every resume. Within a source, windows of
`length` tokens are visited in a new random order each epoch; a run that continues a lineage goes on where its
ancestors stopped, so nothing is read twice before everything was read once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

import numpy as np


def sequences_by_source(plan: Mapping[str, int], num_sequences: int) -> dict[str, int]:
    """Whole sequences a source from tokens a source: largest remainder, summing to `num_sequences`."""
    total = sum(plan.values())
    exact = {name: tokens * num_sequences / total for name, tokens in plan.items()}
    counts = {name: int(share) for name, share in exact.items()}
    left = num_sequences - sum(counts.values())
    for name in sorted(exact, key=lambda name: (counts[name] - exact[name], name))[:left]:
        counts[name] += 1
    return counts


class TokenOrder:
    """The sequences of one training run.

    tokens: source -> 1-d array of token ids. counts: sequences to read from each. used: sequences that the
    lineage has read from each before. name: which run this is; it decides how sources are interleaved. seed:
    the experiment's; it decides the order within a source, the same for the whole lineage. limits: source ->
    tokens of it that there are for this run: so many windows from all over the source, one at least, the same
    for every run and seed. following: tokens that a sequence has beside its window, those that follow it in the
    source; the limits count them.
    """

    def __init__(
        self,
        tokens: Mapping[str, np.ndarray],
        counts: Mapping[str, int],
        used: Mapping[str, int],
        length: int,
        name: str,
        random_seed: int,
        limits: Mapping[str, int] | None = None,
        following: int = 0,
    ) -> None:
        self._tokens, self._length, self._seed = tokens, length, random_seed
        self._width = length + following
        self._windows = {
            source: self._subset(source, limit)
            for source, limit in (limits or {}).items()
            if source in tokens
        }
        self._names = sorted(counts)
        drawn = np.repeat(np.arange(len(self._names)), [counts[source] for source in self._names])
        generator(random_seed, "interleave", name).shuffle(drawn)
        self._source_of = drawn
        self._rank = np.zeros(len(drawn), dtype=np.int64)
        for index, source in enumerate(self._names):
            mine = drawn == index
            self._rank[mine] = np.arange(mine.sum()) + used.get(source, 0)
        self._epoch_orders: dict[tuple[str, int], tuple[np.ndarray, int]] = {}

    def __len__(self) -> int:
        return len(self._source_of)

    def sequence(self, number: int) -> np.ndarray:
        """Token ids (length + following,) int64 of sequence `number`; a source wraps around at its end."""
        source = self._names[self._source_of[number]]
        tokens = self._tokens[source]
        windows = self._windows.get(source)
        num_windows = self._num_windows(source) if windows is None else len(windows)
        epoch, position = divmod(int(self._rank[number]), num_windows)
        order, shift = self._order(source, epoch, num_windows)
        if windows is None:
            begin = int(order[position]) * self._length + shift
        else:
            begin = int(windows[order[position]]) * self._length
        if begin + self._width <= len(tokens):
            return np.asarray(tokens[begin : begin + self._width], dtype=np.int64)
        places = np.arange(begin, begin + self._width) % len(tokens)
        return np.asarray(tokens[places], dtype=np.int64)

    def batch(self, numbers: range) -> np.ndarray:
        """Token ids (len(numbers), length + following)."""
        return np.stack([self.sequence(number) for number in numbers])

    @property
    def sources(self) -> list[str]:
        """Names of the sources, in the order of their numbers."""
        return list(self._names)

    def source_numbers(self, numbers: range) -> np.ndarray:
        """Number of the source (len(numbers),) of each of these sequences."""
        return self._source_of[numbers.start : numbers.stop]

    def sources_of(self, batches: Collection[int], batch_size: int) -> dict[str, int]:
        """Source -> sequences of it in these batches."""
        numbers = np.asarray(sorted(batches), dtype=np.int64)[:, None] * batch_size + np.arange(batch_size)
        found, counts = np.unique(self._source_of[numbers.reshape(-1)], return_counts=True)
        return {self._names[index]: int(count) for index, count in zip(found, counts, strict=True)}

    def _num_windows(self, source: str) -> int:
        return max(1, len(self._tokens[source]) // self._length)

    def _subset(self, source: str, limit: int) -> np.ndarray:
        kept = max(1, min(limit // self._width, self._num_windows(source)))
        return generator(0, "subset", source).permutation(self._num_windows(source))[:kept]

    def _order(self, source: str, epoch: int, num_windows: int) -> tuple[np.ndarray, int]:
        key = (source, epoch)
        if key not in self._epoch_orders:
            drawn = generator(self._seed, "epoch", source, str(epoch))
            shift = int(drawn.integers(self._length)) if epoch else 0
            self._epoch_orders[key] = (drawn.permutation(num_windows), shift)
        return self._epoch_orders[key]


def generator(random_seed: int, *names: str) -> np.random.Generator:
    """Random numbers that depend on the seed and the names alone."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return np.random.default_rng([random_seed, int.from_bytes(digest[:8], "big")])
