"""Less data than there is: so many tokens of each source, all by the same share, to stand for a scarcer world."""

from __future__ import annotations

from collections.abc import Mapping


def data_limits(tokens: Mapping[str, int], share: float, sequence_length: int) -> dict[str, int]:
    """Tokens of each source that may be seen where `share` of the data is there: one sequence at least.

    tokens: tokens that each source holds. share: above 0; at 1 and above nothing is taken away.
    """
    return {name: min(max(int(count * share), sequence_length), count) for name, count in tokens.items()}


def share_for_epochs(tokens: Mapping[str, int], budget: int, epochs: float | None) -> float:
    """The share of the data of which `budget` tokens are `epochs` epochs, at most 1; None: all of it, 1."""
    return 1.0 if epochs is None else min(budget / (epochs * sum(tokens.values())), 1.0)


def token_counts(corpus_facts: Mapping[str, dict]) -> dict[str, int]:
    """Tokens of each source, from the facts of a corpus artifact."""
    return {source: count["tokens"] for source, count in corpus_facts["sources"].items()}
