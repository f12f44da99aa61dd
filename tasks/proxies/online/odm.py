"""ODM (Albalak et al. 2023, arXiv 2312.02406): an EXP3 bandit whose reward for a source is its training loss.

With d sources, t steps from 1 on, n_i of the batch's n sequences drawn from source i and L_i their mean loss,

    eps_t = min(1/d, sqrt(ln d / (d t)))
    p_i,t = (1 - d * eps_t) * exp(eps_(t-1) * R_i) / sum_k exp(eps_(t-1) * R_k)  +  eps_t
    R_i  <-  a * R_i + (1 - a) * (n_i / n) * L_i / p_i

(n_i / n) * L_i / p_i has the expectation L_i whatever p_i is, a source that was not drawn counting as 0: that
is the importance weighting. A source of high loss is drawn more, whether or not its loss can fall.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.proxies.online.online_rule import Base, Counts, Ids, OnlineRule, Sources
from tasks.training.token_plans import Array

if TYPE_CHECKING:
    from tasks.proxies.online.learning import Learnt, Setting


class OdmSettings(BaseModel):
    """ODM (arXiv 2312.02406). The exploration rate is the paper's and no setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warmup: Base = Field("proportional", description="Mixture that the warm-up draws from.")
    warmup_share: float = Field(
        0.01, ge=0, lt=1, description="Share of the steps, rounded up, before the bandit chooses."
    )
    average: float = Field(
        0.9, ge=0, lt=1, description="Share of a source's earlier rewards in their moving average."
    )


def exploration(step: int, num_sources: int) -> float:
    """eps of step t >= 1; 1/d at step 0. Every source is drawn with at least this probability."""
    if step == 0:
        return 1 / num_sources
    return min(1 / num_sources, math.sqrt(math.log(num_sources) / (num_sources * step)))


def policy(rewards: Array, step: int) -> Array:
    """Probabilities (d,) of step t >= 1, from rewards R (d,)."""
    num_sources = len(rewards)
    floor = exploration(step, num_sources)
    raised = np.exp(exploration(step - 1, num_sources) * (rewards - rewards.max()))
    return (1 - num_sources * floor) * raised / raised.sum() + floor


def updated_rewards(
    rewards: Array, losses: Array, counts: Array, probabilities: Array, average: float
) -> Array:
    """R (d,) after a step. losses (d,): mean loss by source, NaN where not drawn; counts (d,): sequences drawn."""
    drawn = counts / counts.sum()
    seen = np.where(counts > 0, drawn * np.nan_to_num(losses) / probabilities, 0.0)
    return average * rewards + (1 - average) * seen


class Odm:
    """The bandit, drawing from `warmup` (d,) for the first steps; it learns from those, too."""

    def __init__(self, warmup: Array, warmup_steps: int, settings: OdmSettings) -> None:
        self._warmup, self._warmup_steps, self._settings = warmup, warmup_steps, settings
        self.state = {"rewards": np.zeros(len(warmup))}

    def _probabilities(self, step: int) -> Array:
        return self._warmup if step < self._warmup_steps else policy(self.state["rewards"], step + 1)

    def draw(self, step: int, batch_size: int, random: np.random.Generator) -> Counts:
        return random.multinomial(batch_size, self._probabilities(step))

    def sequence_weights(self, ids: Ids, source: Sources) -> None:
        return None

    def observe(self, step: int, counts: Counts, losses: Array) -> Array:
        probabilities = self._probabilities(step)
        rewards = updated_rewards(
            self.state["rewards"], losses, counts.astype(float), probabilities, self._settings.average
        )
        self.state = {"rewards": rewards}
        return probabilities


def _learn(s: Setting) -> Learnt:
    own, n = s.own, s.num_steps
    rule = Odm(s.base(own.warmup), int(np.ceil(own.warmup_share * n)), own)
    trace = s.run("proxy", s.trainer(n), rule, s.meter(n))
    return s.learnt(trace.counts.sum(axis=0).astype(float), {"proxy": trace}, n, 0)


RULE = OnlineRule(
    name="odm",
    settings=OdmSettings(),
    title="ODM",
    line="a bandit that draws where the training loss is highest",
    paper="Albalak et al. 2023, arXiv 2312.02406, algorithm 1",
    equation="EXP3 with the moving average of training losses as rewards",
    weights_are="the share of the sequences that was drawn from each source, warm-up included",
    runs=lambda settings, num_sources: 1,
    learn=_learn,
)
