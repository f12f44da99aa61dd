"""The judge `ngram`: a document's value is the even-odds probability that its n-grams come from a task's items.

The n-gram utility (`ngram_utility`) document by document, behind the one face of all judges. It reads no
labels and needs no model; its background is a collection of documents that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.utility.medu.verdicts import Verdict
from tasks.utility.methods.ngram import NgramSettings
from tasks.utility.methods.ngram_utility import (
    Array,
    Hasher,
    hashed_texts,
    log_ratios,
    mean_distribution,
    probability,
)


class NgramJudge:
    """See the module. background: collections of texts by name, each with the same weight."""

    def __init__(self, background: Mapping[str, Sequence[str]], settings: NgramSettings) -> None:
        self.settings = settings
        self.hasher = Hasher(settings.bucket_bits)
        hashed = {name: [self.hasher.ngrams(text) for text in texts] for name, texts in background.items()}
        self.buckets = np.unique(np.concatenate([ngrams for texts in hashed.values() for ngrams in texts]))
        self.background = mean_distribution(hashed_texts(texts, self.buckets) for texts in hashed.values())

    def describe(self, dev_items: Mapping[str, Sequence[str]]) -> dict[str, Array]:
        """log(p_t / q) by bucket of the background. Raises ValueError for a task without a word."""
        found = {}
        for task, items in dev_items.items():
            ngrams = [hashes for text in items if len(hashes := self.hasher.ngrams(text))]
            if not ngrams:
                raise ValueError(f"task {task!r}: no word in any of its {len(items)} dev items")
            found[task] = log_ratios(ngrams, self.buckets, self.background, self.settings)
        return found

    def label(self, questions: Sequence[tuple[Array, str]]) -> list[Verdict]:
        """A document without an n-gram of the background has the least value there is."""
        unique = list(dict.fromkeys(text for _, text in questions))
        row = {text: i for i, text in enumerate(unique)}
        texts = hashed_texts([self.hasher.ngrams(text) for text in unique], self.buckets)
        columns = {id(logs): logs for logs, _ in questions}
        values = {
            name: probability(texts.mean_of(logs[:, None], float(np.log(self.settings.smoothing))))[:, 0]
            for name, logs in columns.items()
        }
        return [Verdict(float(values[id(logs)][row[text]])) for logs, text in questions]

    def about(self, sources: int) -> dict[str, Any]:
        return {"requests": {"asked": 0, "answered_before": 0}}
