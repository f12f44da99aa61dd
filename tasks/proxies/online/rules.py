"""The update rules at work in a run: what each draws, how sequences count, and what it keeps between steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tasks.proxies.online import doremi_rule as doremi
from tasks.proxies.online import odm_rule as odm
from tasks.proxies.online import skill_it_rule as skill_it
from tasks.proxies.online.settings import DoremiSettings, OdmSettings, SkillItSettings
from tasks.training.token_plans import Array

Ids = NDArray[np.int64]
Sources = NDArray[np.intp]
Counts = NDArray[np.int64]


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


class Doremi:
    """Group DRO: all sources alike in a batch, each counting with its weight.

    losses_of: token losses (n, length - 1) of proxy and reference for token ids (n, length).
    """

    def __init__(
        self, num_sources: int, settings: DoremiSettings, losses_of: Callable[[Ids], tuple[Array, Array]]
    ) -> None:
        self._settings, self._losses_of = settings, losses_of
        self.state = {"weights": np.full(num_sources, 1 / num_sources), "excess": np.zeros(num_sources)}

    def draw(self, step: int, batch_size: int, random: np.random.Generator) -> Counts:
        num_sources = len(self.state["weights"])
        counts = np.full(num_sources, batch_size // num_sources, dtype=np.int64)
        counts[random.permutation(num_sources)[: batch_size % num_sources]] += 1
        return counts

    def sequence_weights(self, ids: Ids, source: Sources) -> Array:
        proxy, reference = self._losses_of(ids)
        excess = doremi.excess_losses(proxy, reference, source, self.state["excess"])
        weights = doremi.updated_weights(
            self.state["weights"], excess, self._settings.eta, self._settings.smoothing
        )
        self.state = {"weights": weights, "excess": excess}
        return doremi.sequence_weights(weights, source)

    def observe(self, step: int, counts: Counts, losses: Array) -> Array:
        return self.state["weights"]


class Odm:
    """The bandit, drawing from `warmup` (d,) for the first steps; it learns from those, too."""

    def __init__(self, warmup: Array, warmup_steps: int, settings: OdmSettings) -> None:
        self._warmup, self._warmup_steps, self._settings = warmup, warmup_steps, settings
        self.state = {"rewards": np.zeros(len(warmup))}

    def _probabilities(self, step: int) -> Array:
        return self._warmup if step < self._warmup_steps else odm.policy(self.state["rewards"], step + 1)

    def draw(self, step: int, batch_size: int, random: np.random.Generator) -> Counts:
        return random.multinomial(batch_size, self._probabilities(step))

    def sequence_weights(self, ids: Ids, source: Sources) -> None:
        return None

    def observe(self, step: int, counts: Counts, losses: Array) -> Array:
        probabilities = self._probabilities(step)
        rewards = odm.updated_rewards(
            self.state["rewards"], losses, counts.astype(float), probabilities, self._settings.average
        )
        self.state = {"rewards": rewards}
        return probabilities


class SkillIt:
    """Rounds of steps with one mixture each. measure: validation loss by source (d,) of the proxy as it is."""

    def __init__(
        self, graph: Array, num_steps: int, settings: SkillItSettings, measure: Callable[[], Array]
    ) -> None:
        starts = [part[0] for part in np.array_split(np.arange(num_steps), settings.rounds)]
        self._graph, self._starts, self._settings, self._measure = graph, starts, settings, measure
        self.state = {"measured": np.zeros((0, len(graph))), "mixtures": np.zeros((0, len(graph)))}

    def draw(self, step: int, batch_size: int, random: np.random.Generator) -> Counts:
        if step in self._starts:
            self._begin_round()
        return random.multinomial(batch_size, self.state["mixtures"][-1])

    def _begin_round(self) -> None:
        measured, mixtures, s = self.state["measured"], self.state["mixtures"], self._settings
        if len(measured) == 0:
            mixture = skill_it.first_mixture(self._graph, s.eta)
        else:
            mixture = skill_it.next_mixture(self._graph, list(measured), s.eta, s.window)
        self.state = {
            "measured": np.vstack([measured, self._measure()]),
            "mixtures": np.vstack([mixtures, mixture]),
        }

    def sequence_weights(self, ids: Ids, source: Sources) -> None:
        return None

    def observe(self, step: int, counts: Counts, losses: Array) -> Array:
        return self.state["mixtures"][-1]
