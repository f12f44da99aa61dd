"""Skill-it (Chen et al. 2023, arXiv 2307.14430, algorithm 1): weights that follow who helps whom.

With L_j the validation loss of source j, and f_i the first model after a short training on source i alone,

    A_ij   = max(L_j(first model) - L_j(f_i), 0) / L_j(first model)
    p_i,1  ~ exp(eta * sum_j A_ij)
    p_i,t+1 ~ exp(eta * sum over the latest w rounds r <= t of sum_j A_ij * L_j(before round r))

each divided by its sum over i. What is learnt is the mean of p over the rounds. A is the relative fall of the
loss, so that it has no unit; help counts, harm does not.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from storage.sealed import Damaged, read_sealed, write_sealed
from tasks.proxies.online.online_rule import Counts, Fixed, Ids, OnlineRule, Sources
from tasks.training.token_plans import Array

if TYPE_CHECKING:
    from tasks.proxies.online.learning import Learnt, Setting
    from tasks.proxies.online.online_loop import Meter, ProxyTrainer
    from tasks.proxies.online.proxy_text import ProxyText

log = logging.getLogger("mixstitch.training")


class SkillItSettings(BaseModel):
    """Skill-it (arXiv 2307.14430)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    eta: float = Field(0.2, gt=0, le=1000, description="Step size of the weights.")
    rounds: int = Field(5, ge=1, le=1000, description="Rounds; the mixture is chosen anew in each.")
    window: int = Field(3, ge=1, le=1000, description="Latest rounds whose losses count.")
    graph_share: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Share of the tokens that the proxy of each source trains on for the graph.",
    )
    validation_sequences: int = Field(
        16,
        ge=1,
        le=10_000,
        description="Sequences of a source that no proxy trains on and its loss is measured on, at most a tenth.",
    )


def skills_graph(before: Array, after: Array) -> Array:
    """A (d, d) from losses before (d,) any training and after (d, d): row i after training on source i."""
    return np.maximum(before[None, :] - after, 0.0) / before[None, :]


def first_mixture(graph: Array, eta: float) -> Array:
    """p (d,) of the first round."""
    return _softmax(eta * graph.sum(axis=1))


def next_mixture(graph: Array, losses: Sequence[Array], eta: float, window: int) -> Array:
    """p (d,) of the round after those whose losses (d,), each measured before its round, are given."""
    return _softmax(eta * graph @ np.sum(losses[-window:], axis=0))


def _softmax(values: Array) -> Array:
    raised = np.exp(values - values.max())
    return raised / raised.sum()


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
            mixture = first_mixture(self._graph, s.eta)
        else:
            mixture = next_mixture(self._graph, list(measured), s.eta, s.window)
        self.state = {
            "measured": np.vstack([measured, self._measure()]),
            "mixtures": np.vstack([mixtures, mixture]),
        }

    def sequence_weights(self, ids: Ids, source: Sources) -> None:
        return None

    def observe(self, step: int, counts: Counts, losses: Array) -> Array:
        return self.state["mixtures"][-1]


def _learn(s: Setting) -> Learnt:
    own, n, d = s.own, s.num_steps, len(s.text.sources)
    if own.rounds > n:
        raise ValueError(
            f"mixture.online.skill_it.rounds={own.rounds}, but mixture.online.tokens={s.settings.tokens:,} are "
            f"{n} steps; allowed: 1 to {n} rounds, or more tokens"
        )
    short = max(1, round(own.graph_share * n))
    meter = s.meter(d * short + n)
    before = _validation_losses(s.trainer(1), s.text)
    after = np.stack([_after_source(s, number, short, meter) for number in range(d)])
    graph = skills_graph(before, after)
    proxy = s.trainer(n)
    rule = SkillIt(graph, n, own, lambda: _validation_losses(proxy, s.text))
    trace = s.run("proxy", proxy, rule, meter)
    held = sum(windows.size for windows in s.text.validation.values())
    return s.learnt(
        rule.state["mixtures"].mean(axis=0),
        {"proxy": trace},
        d * short + n,
        held * (1 + d + own.rounds),
        graph=graph,
        measured=rule.state["measured"],
    )


def _after_source(s: Setting, number: int, num_steps: int, meter: Meter) -> Array:
    """Validation losses (d,) after training on source `number` alone; kept once known."""
    source = s.text.sources[number]
    known = s.progress / "graph" / f"{source}.json"
    try:
        losses = np.array(read_sealed(known)["losses"])
    except FileNotFoundError:
        pass
    except Damaged as error:
        place = known.with_suffix(".broken")
        known.replace(place)
        log.warning("%s is damaged (%s): set aside as %s, and measured again", known, error, place)
    else:
        meter.skip(num_steps)
        return losses
    trainer = s.trainer(num_steps)
    s.run(f"graph-{source}", trainer, Fixed(np.eye(len(s.text.sources))[number]), meter)
    losses = _validation_losses(trainer, s.text)
    known.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(known, {"losses": losses.tolist()})
    shutil.rmtree(s.progress / f"graph-{source}")
    return losses


def _validation_losses(trainer: ProxyTrainer, text: ProxyText) -> Array:
    """Mean loss in nats a token (d,) on each source's validation sequences."""
    return np.array(
        [trainer.token_losses(windows.astype(np.int64)).mean() for windows in text.validation.values()]
    )


RULE = OnlineRule(
    name="skill-it",
    settings=SkillItSettings(),
    title="Skill-it",
    line="weights that follow which source helps which",
    paper="Chen et al. 2023, arXiv 2307.14430, algorithm 1",
    equation="p_i <- exp(eta sum over rounds of sum_j A_ij loss_j)",
    weights_are="the mean of the mixtures over the rounds",
    runs=lambda settings, num_sources: 1 + num_sources * settings.graph_share,
    held_back=lambda settings: settings.validation_sequences,
    learn=_learn,
)
