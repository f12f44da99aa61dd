"""Utility from hashed n-grams: are a source's documents more likely for the task than for the background?

As in importance resampling (Xie et al. 2023, arXiv 2302.03169): words and pairs of neighbouring words are
hashed into buckets. With q the background (every source's sample with the same weight) and p the n-grams of
task t's own dev items,

    p_t = (1 - s) p + s q,          r(document) = exp( mean over its n-grams of log(p_t / q) ),

and the document's utility is r / (1 + r): at even odds the probability that its n-grams come from the task.
An n-gram that the task never has counts log s, the least there is, so that junk, which shares nothing with
any task, comes out at the bottom and not in the middle. U_ij is the mean over source i's documents. Its
standard error adds, in quadrature, the documents' s/sqrt(n) and a jackknife over groups of the task's items.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.utility.matrix import UNKNOWN_DEVIATION, UtilityMatrix

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from tasks.utility.methods.ngram import NgramSettings

Array = NDArray[np.float64]
Hashes = NDArray[np.uint64]
WORD = re.compile(r"\w+|[^\w\s]")
PIECE = 3
# Odd 64-bit constants: the high bits of a product with one are well mixed (Fibonacci hashing).
MIX_ONE, MIX_FIRST, MIX_SECOND = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xC2B2AE3D27D4EB4F),
    np.uint64(0x165667B19E3779F9),
)


@dataclass(frozen=True)
class Texts:
    """Documents x buckets: counts of n-grams, for the buckets that the sources' samples have."""

    counts: csr_matrix

    @property
    def lengths(self) -> Array:
        return np.asarray(self.counts.sum(axis=1), dtype=float).ravel()

    def mean_of(self, columns: Array, empty: float) -> Array:
        """Mean of columns (buckets, k) over each document's n-grams (documents, k); `empty` without any."""
        lengths = self.lengths[:, None]
        total = np.asarray(self.counts @ columns)
        return np.divide(total, lengths, out=np.full(total.shape, empty), where=lengths > 0)


def ngram_utility(
    samples: Mapping[str, Sequence[str]], dev_items: Mapping[str, Sequence[str]], settings: NgramSettings
) -> UtilityMatrix:
    """The utility of each source's sampled documents for each task's dev items (texts).

    about: the settings, documents and items used, and by task `own_items`, the unscaled utility that the
    task's own items have for it when their group is left out. Raises ValueError naming a source without
    documents and a task without a word in its items.
    """
    _refuse_empty("source", samples, "documents")
    _refuse_empty("task", dev_items, "dev items")
    hasher = Hasher(settings.bucket_bits)
    hashed = {name: [hasher.ngrams(text) for text in texts] for name, texts in samples.items()}
    buckets = np.unique(np.concatenate([ngrams for texts in hashed.values() for ngrams in texts]))
    sources = {name: hashed_texts(texts, buckets) for name, texts in hashed.items()}
    background = mean_distribution(sources.values())

    values = pd.DataFrame(index=list(samples), columns=list(dev_items), dtype=float)
    errors = values.copy()
    own_items = {}
    for task, items in dev_items.items():
        ngrams = [hashes for text in items if len(hashes := hasher.ngrams(text))]
        if not ngrams:
            raise ValueError(f"task {task!r}: no word in any of its {len(items)} dev items")
        ratios = _LogRatios(ngrams, buckets, background, settings)
        own_items[task] = ratios.own_items()
        for source, texts in sources.items():
            values.loc[source, task], errors.loc[source, task] = ratios.utility(texts)
    values, errors = _scaled(values, errors, own_items, settings)
    about = {
        "method": "ngram",
        "settings": settings.model_dump(mode="json"),
        "documents": {name: len(texts) for name, texts in samples.items()},
        "items": {name: len(texts) for name, texts in dev_items.items()},
        "own_items": own_items,
    }
    return UtilityMatrix(values, errors, about)


def words(text: str) -> list[str]:
    """Lower-case words and punctuation marks; runs with other letters than ASCII in pieces of three letters.

    The pieces overlap by two: they stand for words in scripts that put no spaces between them.
    """
    found: list[str] = []
    for word in WORD.findall(text.lower()):
        if word.isascii() or len(word) <= PIECE:
            found.append(word)
        else:
            found.extend(word[i : i + PIECE] for i in range(len(word) - PIECE + 1))
    return found


class Hasher:
    """Buckets of a text's n-grams; remembers the hash of each word."""

    def __init__(self, bucket_bits: int) -> None:
        self.shift = np.uint64(64 - bucket_bits)
        self.known: dict[str, tuple[int, bool]] = {}

    def ngrams(self, text: str) -> NDArray[np.int64]:
        """The buckets of its words and pairs of words that have a letter or a digit.

        Punctuation alone says nothing about a subject, and junk is full of it.
        """
        found = words(text)
        if not found:
            return np.empty(0, np.int64)
        pairs = [self._hash(word) for word in found]
        one: Hashes = np.array([number for number, _ in pairs], np.uint64)
        spoken = np.array([is_word for _, is_word in pairs], bool)
        two = (one[:-1] * MIX_FIRST) ^ (one[1:] * MIX_SECOND)
        kept = np.concatenate([one[spoken], two[spoken[:-1] | spoken[1:]]])
        return ((kept * MIX_ONE) >> self.shift).astype(np.int64)

    def _hash(self, word: str) -> tuple[int, bool]:
        entry = self.known.get(word)
        if entry is None:
            data = word.encode("utf-8", "surrogatepass")
            number = zlib.crc32(data) << 32 | zlib.adler32(data)
            entry = self.known[word] = (number, any(letter.isalnum() for letter in word))
        return entry


class _LogRatios:
    """log(p_t / q) by bucket for one task: with all its items, and with each group of them left out."""

    def __init__(
        self,
        items: list[NDArray[np.int64]],
        buckets: NDArray[np.int64],
        background: Array,
        settings: NgramSettings,
    ) -> None:
        self.floor = math.log(settings.smoothing)
        self.num_groups = min(settings.groups, len(items))
        self.group = np.arange(len(items)) % self.num_groups
        self.items = hashed_texts(items, buckets)
        by_group = np.zeros((len(buckets), self.num_groups))
        totals = np.zeros(self.num_groups)
        for g in range(self.num_groups):
            members = np.flatnonzero(self.group == g)
            by_group[:, g] = np.asarray(self.items.counts[members].sum(axis=0)).ravel()
            # n-grams that no source has count in the length: the task's mass there is out of their reach.
            totals[g] = sum(len(items[i]) for i in members)
        counts = np.column_stack([by_group.sum(axis=1), by_group.sum(axis=1)[:, None] - by_group])
        size = np.concatenate([[totals.sum()], totals.sum() - totals])
        share = np.divide(counts, size, out=np.zeros_like(counts), where=size > 0)
        self.logs = np.log(settings.smoothing + (1 - settings.smoothing) * share / background[:, None])

    def utility(self, texts: Texts) -> tuple[float, float]:
        """Mean utility of the documents and its standard error."""
        by_document = probability(texts.mean_of(self.logs, self.floor))
        n = len(by_document)
        of_documents = by_document[:, 0].std(ddof=1) / math.sqrt(n) if n > 1 else UNKNOWN_DEVIATION
        left_out = by_document[:, 1:].mean(axis=0)
        if self.num_groups > 1:
            scatter = ((left_out - left_out.mean()) ** 2).sum()
            of_items = math.sqrt(scatter * (self.num_groups - 1) / self.num_groups)
        else:
            of_items = UNKNOWN_DEVIATION
        return float(by_document[:, 0].mean()), math.hypot(of_documents, of_items)

    def own_items(self) -> float:
        """Mean utility of the items, by the n-grams that sources have, each with its group left out."""
        if self.num_groups == 1:
            return float(probability(self.items.mean_of(self.logs[:, :1], self.floor)).mean())
        by_item = self.items.mean_of(self.logs[:, 1:], self.floor)[np.arange(len(self.group)), self.group]
        return float(probability(by_item[self.items.lengths > 0]).mean()) if self.items.counts.nnz else 0.0


def log_ratios(
    items: list[NDArray[np.int64]], buckets: NDArray[np.int64], background: Array, settings: NgramSettings
) -> Array:
    """log(p_t / q) by bucket, (buckets,), for a task's items as n-grams."""
    return _LogRatios(items, buckets, background, settings).logs[:, 0]


def hashed_texts(ngrams: Sequence[NDArray[np.int64]], buckets: NDArray[np.int64]) -> Texts:
    """Counts of each document's n-grams in the (sorted) buckets."""
    from scipy.sparse import csr_matrix

    lengths = [len(one) for one in ngrams]
    row = np.repeat(np.arange(len(ngrams)), lengths)
    bucket = np.concatenate(ngrams) if ngrams else np.empty(0, np.int64)
    column = np.searchsorted(buckets, bucket)
    known = column < len(buckets)
    known[known] = buckets[column[known]] == bucket[known]
    entries = (np.ones(known.sum()), (row[known], column[known]))
    return Texts(csr_matrix(entries, shape=(len(ngrams), len(buckets))))


def mean_distribution(sources: Iterable[Texts]) -> Array:
    """Mean over the sources of their distribution over buckets."""
    shares = []
    for texts in sources:
        counts = np.asarray(texts.counts.sum(axis=0), dtype=float).ravel()
        if counts.sum() > 0:
            shares.append(counts / counts.sum())
    return np.mean(shares, axis=0)


def probability(log_ratio: Array) -> Array:
    """r / (1 + r) of log r."""
    return 1 / (1 + np.exp(-log_ratio))


def _scaled(
    values: pd.DataFrame, errors: pd.DataFrame, own_items: Mapping[str, float], settings: NgramSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values and errors on the scale of the settings; a task that tells no sources apart keeps its values."""
    floor = settings.smoothing / (1 + settings.smoothing)
    for task in values.columns:
        match settings.scale:
            case "minmax":
                low, high = float(values[task].min()), float(values[task].max())
            case "items":
                low, high = floor, own_items[task]
            case "none":
                low, high = 0.0, 1.0
        if high - low > 1e-9:
            values[task] = ((values[task] - low) / (high - low)).clip(0, 1)
            errors[task] = errors[task] / (high - low)
    return values, errors


def _refuse_empty(what: str, given: Mapping[str, Sequence[str]], needed: str) -> None:
    if not given:
        raise ValueError(f"utility: no {what}s")
    empty = sorted(name for name, texts in given.items() if not texts)
    if empty:
        raise ValueError(f"utility: {what}s {empty} have no {needed}; each needs at least one")
