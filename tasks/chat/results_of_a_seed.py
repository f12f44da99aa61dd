"""What a chat run of one random seed made: the results that its page is drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.artifact import Artifact


@dataclass(frozen=True)
class ChatResults:
    """What a chat run of one seed made: models by name from base to last, answers by the same, rewards by margin,
    rounds, recall by name, scores on the benchmarks by name of the model, and the reward model of safety."""

    random_seed: int
    models: Mapping[str, Artifact]
    answers: Mapping[str, Artifact]
    rewards: Mapping[str, Artifact]
    rounds: tuple[Artifact, ...]
    recall: Mapping[str, Artifact]
    scores: Mapping[str, Artifact] = field(default_factory=dict)
    safety: Artifact | None = None
    ppo: Artifact | None = None

    @property
    def inputs(self) -> dict[str, str]:
        several = {
            "model": self.models,
            "answers": self.answers,
            "reward": self.rewards,
            "recall": self.recall,
            "scores": self.scores,
        }
        if self.safety is not None:
            several["reward of"] = {"safety": self.safety}
        named = {f"{kind} {name}": a.digest for kind, own in several.items() for name, a in own.items()}
        return {f"seed{self.random_seed} {name}": digest for name, digest in named.items()}
