"""What a rule says of itself that learns weights while proxies train, and what it does in a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from tasks.training.token_plans import Array

if TYPE_CHECKING:
    from tasks.proxies.online.learning import Learnt, Setting

Ids = NDArray[np.int64]
Sources = NDArray[np.intp]
Counts = NDArray[np.int64]
Base = Literal["proportional", "uniform"]


class Rule(Protocol):
    """What decides the batches of a run. `state` holds arrays from which the rule goes on after a cut."""

    state: dict[str, Array]

    def draw(self, step: int, batch_size: int, random: np.random.Generator) -> Counts:
        """Sequences to take from each source (d,), at the step (from 0); they sum to batch_size."""

    def sequence_weights(self, ids: Ids, source: Sources) -> Array | None:
        """How much each sequence (n,) counts in the loss; None: all alike."""

    def observe(self, step: int, counts: Counts, losses: Array) -> Array:
        """Learn from the step's mean loss by source (d,), NaN where none was drawn; the step's weights (d,)."""


class Fixed:
    """A mixture (d,) that stays: the reference of DoReMi, and the proxies on one source."""

    def __init__(self, weights: Array) -> None:
        self._weights = weights
        self.state: dict[str, Array] = {}

    def draw(self, step: int, batch_size: int, random: np.random.Generator) -> Counts:
        return random.multinomial(batch_size, self._weights)

    def sequence_weights(self, ids: Ids, source: Sources) -> None:
        return None

    def observe(self, step: int, counts: Counts, losses: Array) -> Array:
        return self._weights


@dataclass(frozen=True)
class OnlineRule:
    """A way to learn weights while proxies train; a mixture method of the same name follows from it.

    settings: its own, as they are where nothing is set. weights_are: what is learnt. runs: (settings, sources) -> how
    many times the proxy's tokens are trained on, by all proxies. held_back: sequences of a source that no proxy
    trains on. learn: from what all proxies share to the weights; deterministic for a seed on one machine, and the
    order of the sources does not matter.
    """

    name: str
    settings: BaseModel
    title: str
    line: str
    paper: str
    equation: str
    weights_are: str
    runs: Callable[[Any, int], float]
    learn: Callable[[Setting], Learnt]
    held_back: Callable[[Any], int] = field(default=lambda settings: 0)

    @property
    def section(self) -> str:
        """Name of its own settings in a recipe."""
        return self.name.replace("-", "_")
