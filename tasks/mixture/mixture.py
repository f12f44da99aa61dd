"""A mixture: how much of each source, in weights, whole tokens and epochs, and how that was reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.mixture.solver.capped_simplex import Array
from tasks.training.token_plans import whole_tokens


class Certificate(dict[str, Any]):
    """JSON-ready facts on how a mixture was reached, also as attributes: `certificate.kkt_residual`.

    later: facts that are made when they are asked for, by name; `whole` makes them all.
    """

    def __init__(self, told: Mapping[str, Any] = {}, later: Mapping[str, Callable[[], Any]] = {}) -> None:
        super().__init__(told)
        self._later = dict(later)

    def __missing__(self, name: str) -> Any:
        if name not in self._later:
            raise KeyError(name)
        self[name] = self._later.pop(name)()
        return self[name]

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"this certificate has no {name!r}; it has {', '.join(self.whole())}"
            ) from None

    def whole(self) -> dict[str, Any]:
        """Everything, as a plain dict."""
        for name in list(self._later):
            self[name]
        return dict(self)


@dataclass(frozen=True)
class Mixture:
    """Weights (sum 1), whole tokens (sum the budget) and epochs of this stage, each by source name.

    certificate: facts: method, budget, epoch_cap, effective_sources (1 / sum of squared weights),
    binding (sources at their bound), lineage_epochs (with the stages before), and what the method adds.
    """

    weights: dict[str, float]
    tokens: dict[str, int]
    epochs: dict[str, float]
    certificate: Certificate = field(default_factory=Certificate)

    def unread(self) -> Mixture:
        """These weights where nothing trains on them: no tokens, no epochs."""
        none = dict.fromkeys(self.weights, 0)
        told = self.certificate.whole() | {"budget": 0, "lineage_epochs": none}
        return Mixture(self.weights, none, dict.fromkeys(self.weights, 0.0), Certificate(told))

    def to_facts(self, name: str) -> dict[str, Any]:
        """As the catalog keeps it: {"name", "sources": {source: {"weight", "tokens", "epochs"}}}."""
        return {
            "name": name,
            "sources": {
                source: {
                    "weight": self.weights[source],
                    "tokens": self.tokens[source],
                    "epochs": self.epochs[source],
                }
                for source in self.weights
            },
        }

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON-ready values."""
        return {
            "weights": self.weights,
            "tokens": self.tokens,
            "epochs": self.epochs,
            "certificate": self.certificate.whole(),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Mixture:
        """From what `to_json` gave."""
        return cls(
            dict(told["weights"]),
            dict(told["tokens"]),
            dict(told["epochs"]),
            Certificate(told["certificate"]),
        )


def effective_sources(weights: Array) -> float:
    """1 / sum of squared weights: 1 for one source, d for d alike."""
    return float(1 / (weights @ weights))


def planned(
    w: Array,
    tokens: Mapping[str, int],
    budget: int,
    limit: Mapping[str, int],
    used: Mapping[str, float],
    certificate: dict[str, Any],
    later: Mapping[str, Callable[[], Any]] = {},
) -> Mixture:
    """The mixture of weights w, in the order of `tokens`, with whole tokens up to `limit`.

    certificate, later: as `Certificate` takes them.
    """
    weights = dict(zip(tokens, w.tolist(), strict=True))
    plan = whole_tokens(weights, budget, limit)
    facts = {
        "budget": budget,
        "effective_sources": effective_sources(w),
        "binding": sorted(name for name in plan if 0 < plan[name] == limit[name] < budget),
        "lineage_epochs": {name: (plan[name] + used.get(name, 0)) / size for name, size in tokens.items()},
    }
    epochs = {name: plan[name] / size for name, size in tokens.items()}
    return Mixture(weights, plan, epochs, Certificate(certificate | facts, later))
