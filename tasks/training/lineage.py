"""What a lineage of training runs has read: epochs are counted over seed, expert and stitches together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from storage.artifact import Artifact

TokensBySource = Mapping[str, int]


@dataclass(frozen=True)
class Lineage:
    """The trained models behind a run: the seed, and experts branched from it by name; of a seed's run neither.

    What combines them is made of these: the seed is the hub, unless an expert has changed places with it.
    """

    seed_model: Artifact | None = None
    experts: Mapping[str, Artifact] = field(default_factory=dict)

    @property
    def hub(self) -> Artifact:
        """The seed model, where there must be one."""
        assert self.seed_model is not None
        return self.seed_model

    @property
    def inputs(self) -> dict[str, str]:
        """Digests of the models by what they are to the run."""
        digests = {f"expert {name}": artifact.digest for name, artifact in self.experts.items()}
        return digests if self.seed_model is None else {"hub": self.seed_model.digest, **digests}

    @property
    def used(self) -> dict[str, int]:
        """Tokens by source that are behind the run: see `lineage_use`."""
        seed = None if self.seed_model is None else self.seed_model.facts["trained_tokens"]
        return lineage_use(seed, [model.facts["trained_tokens"] for model in self.experts.values()])


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
