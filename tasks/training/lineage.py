"""What a lineage of training runs has read: epochs are counted over seed, expert and stitches together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from storage.artifacts import Artifact

TokensBySource = Mapping[str, int]


def tokens_of(mixture: Artifact) -> dict[str, int]:
    """The token plan of a mixture artifact, by source."""
    return {source: share["tokens"] for source, share in mixture.facts["mixture"]["sources"].items()}


def lineage_use(seed: TokensBySource | None, experts: Sequence[TokensBySource] = ()) -> dict[str, int]:
    """Tokens by source that are behind a run: the seed's, and the most that any one expert adds.

    Every expert branches from the seed and none from another, so the greediest one decides what is left.
    """
    if seed is None:
        return {}
    names = sorted({*seed, *(name for expert in experts for name in expert)})
    return {
        name: seed.get(name, 0) + max((expert.get(name, 0) for expert in experts), default=0)
        for name in names
    }
