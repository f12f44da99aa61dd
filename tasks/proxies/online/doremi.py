"""DoReMi (Xie et al. 2023, arXiv 2305.10429, algorithm 1): weights that follow the worst excess loss.

With l_theta the loss of the proxy on a token and l_ref that of the reference,

    excess_i = mean over the tokens of source i in the batch of max(l_theta - l_ref, 0)
    w_i  <-  (1 - c) * w_i * exp(eta * excess_i) / sum_k w_k * exp(eta * excess_k)  +  c / d

from w = 1/d on. Batches hold all sources alike, and the proxy's loss is sum_i w_i * mean loss of source i. What
is learnt is the mean of w over all steps.

The clip leaves something where proxy and reference are equally good on average but not on each token, most of
it where both guess: late in a run the weights may go to noise. The drift in the stage's facts shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.proxies.online.online_rule import Base, Counts, Fixed, Ids, OnlineRule, Sources
from tasks.training.token_plans import Array

if TYPE_CHECKING:
    from tasks.proxies.online.learning import Learnt, Setting


class DoremiSettings(BaseModel):
    """DoReMi (arXiv 2305.10429)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Base = Field(
        "proportional", description="Mixture that the reference proxy is trained on; excess is over its loss."
    )
    eta: float = Field(1.0, gt=0, le=1000, description="Step size of the weights; 1 in the paper.")
    smoothing: float = Field(
        1e-3,
        ge=0,
        lt=1,
        description="Share of the uniform mixture in every step's weights; 1e-3 in the paper.",
    )


def excess_losses(proxy: Array, reference: Array, source: Sources, last: Array) -> Array:
    """Excess loss (d,): clipped at 0 token by token, then averaged over a source's tokens.

    proxy, reference: losses (n, length) in nats of the same sequences; source (n,): the source of each. A
    source without a sequence in the batch keeps its `last` (d,) one.
    """
    clipped = np.maximum(proxy - reference, 0.0).mean(axis=1)
    counts = np.bincount(source, minlength=len(last))
    sums = np.bincount(source, clipped, minlength=len(last))
    return np.where(counts > 0, sums / np.maximum(counts, 1), last)


def updated_weights(weights: Array, excess: Array, eta: float, smoothing: float) -> Array:
    """The next weights (d,), sum 1, each at least smoothing / d."""
    logs = np.log(np.maximum(weights, 1e-300)) + eta * excess
    raised = np.exp(logs - logs.max())
    return (1 - smoothing) * raised / raised.sum() + smoothing / len(weights)


def sequence_weights(weights: Array, source: Sources) -> Array:
    """Weight of each sequence (n,) in the proxy's loss: its source's, shared out among that source's sequences.

    They sum to 1 where every source is in the batch; the part of a source that is not is left out.
    """
    counts = np.bincount(source, minlength=len(weights))
    return weights[source] / counts[source]


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
        excess = excess_losses(proxy, reference, source, self.state["excess"])
        weights = updated_weights(self.state["weights"], excess, self._settings.eta, self._settings.smoothing)
        self.state = {"weights": weights, "excess": excess}
        return sequence_weights(weights, source)

    def observe(self, step: int, counts: Counts, losses: Array) -> Array:
        return self.state["weights"]


def _learn(s: Setting) -> Learnt:
    own, n = s.own, s.num_steps
    meter = s.meter(2 * n)
    reference = s.trainer(n)
    traces = {"reference": s.run("reference", reference, Fixed(s.base(own.reference)), meter)}
    proxy = s.trainer(n)
    rule = Doremi(
        len(s.text.sources), own, lambda ids: (proxy.token_losses(ids), reference.token_losses(ids))
    )
    traces["proxy"] = s.run("proxy", proxy, rule, meter)
    scored = 2 * n * s.training.tokens_per_step
    return s.learnt(traces["proxy"].weights.mean(axis=0), traces, 2 * n, scored)


RULE = OnlineRule(
    name="doremi",
    settings=DoremiSettings(),
    title="DoReMi",
    line="weights that follow the worst excess loss of a proxy over a reference",
    paper="Xie et al. 2023, arXiv 2305.10429, algorithm 1",
    equation="w_i <- (1 - c) w_i exp(eta excess_i) / Z + c / d",
    weights_are="the mean of the weights over all steps",
    runs=lambda settings, num_sources: 2,
    learn=_learn,
)
