"""Learns static weights with proxies: DoReMi's average, ODM's share drawn, Skill-it's average over rounds."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import models
from storage.sealed import Damaged, read_sealed, write_sealed
from tasks.proxies.online import skill_it_rule as skill_it
from tasks.proxies.online.online_loop import Meter, Place, ProxyTrainer, Rule, Trace, train_proxy
from tasks.proxies.online.proxy_text import ProxyText, SourceStreams
from tasks.proxies.online.rules import Doremi, Fixed, Odm, SkillIt
from tasks.proxies.online.settings import OnlineMethod, OnlineSettings
from tasks.training.loop import StepReport
from tasks.training.settings import TrainingSettings
from tasks.training.token_plans import Array

log = logging.getLogger("mixstitch.training")
FORWARD_SHARE = 1 / 3  # of a training step's operations, without its backward pass
WEIGHTS_ARE = {
    "doremi": "the mean of the weights over all steps",
    "odm": "the share of the sequences that was drawn from each source, warm-up included",
    "skill-it": "the mean of the mixtures over the rounds",
}


@dataclass(frozen=True)
class Learnt:
    """Weights (d,) in the order of `sources`, the traces by run, and what training took.

    tokens: trained on, by all proxies. flops: of training and of measuring. graph and measured: Skill-it's A
    (d, d), and validation losses before each round (rounds, d).
    """

    sources: list[str]
    weights: Array
    traces: dict[str, Trace]
    tokens: int
    flops: float
    parameters: int
    graph: Array | None = None
    measured: Array | None = None


@dataclass(frozen=True)
class Setting:
    """What all proxies of one learning share. start: folder of the new model. sizes: tokens a source holds."""

    start: str
    text: ProxyText
    sizes: Mapping[str, int]
    settings: OnlineSettings
    training: TrainingSettings
    seed: int
    progress: Path
    report: StepReport
    num_steps: int = field(init=False)

    def __post_init__(self) -> None:
        num_steps = self.settings.tokens // self.training.tokens_per_step
        if num_steps == 0:
            raise ValueError(
                f"mixture.online.tokens={self.settings.tokens:,} is less than one step of "
                f"{self.training.tokens_per_step:,} tokens; allowed: at least that"
            )
        object.__setattr__(self, "num_steps", num_steps)

    def base(self, name: str) -> Array:
        """Weights (d,) of the mixture `proportional` or `uniform`."""
        sizes = np.array([self.sizes[source] for source in self.text.sources], float)
        return sizes / sizes.sum() if name == "proportional" else np.full(len(sizes), 1 / len(sizes))

    def trainer(self, num_steps: int) -> ProxyTrainer:
        import torch

        return ProxyTrainer(models.load_causal_lm(self.start, torch.float32), self.training, num_steps)

    def run(self, name: str, trainer: ProxyTrainer, rule: Rule, meter: Meter) -> Trace:
        place = Place(self.progress / name, self.training.checkpoint_seconds, self.seed, name)
        batch_size = self.training.batch_size
        streams = SourceStreams(
            self.text, self.training.sequence_length, trainer.num_steps * batch_size, self.seed
        )
        return train_proxy(trainer, streams, rule, batch_size, place, meter)

    def meter(self, num_steps: int) -> Meter:
        return Meter(self.report, num_steps, self.training.tokens_per_step)

    def learnt(
        self, weights: Array, traces: dict[str, Trace], steps: int, measured_tokens: int, **more: Any
    ) -> Learnt:
        model = models.load_causal_lm(self.start)
        tokens = steps * self.training.tokens_per_step
        flops = models.train_flops_per_token(model, self.training.sequence_length)
        return Learnt(
            self.text.sources,
            weights / weights.sum(),
            traces,
            tokens,
            flops * (tokens + FORWARD_SHARE * measured_tokens),
            models.count_parameters(model)[0],
            **more,
        )


def learn_weights(method: OnlineMethod, setting: Setting) -> Learnt:
    """What `method` learns. Deterministic for a seed on one machine; the order of the sources does not matter."""
    learn: dict[OnlineMethod, Callable[[Setting], Learnt]] = {
        "doremi": _doremi,
        "odm": _odm,
        "skill-it": _skill_it,
    }
    return learn[method](setting)


def _doremi(s: Setting) -> Learnt:
    own, n = s.settings.doremi, s.num_steps
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


def _odm(s: Setting) -> Learnt:
    own, n = s.settings.odm, s.num_steps
    rule = Odm(s.base(own.warmup), int(np.ceil(own.warmup_share * n)), own)
    trace = s.run("proxy", s.trainer(n), rule, s.meter(n))
    return s.learnt(trace.counts.sum(axis=0).astype(float), {"proxy": trace}, n, 0)


def _skill_it(s: Setting) -> Learnt:
    own, n, d = s.settings.skill_it, s.num_steps, len(s.text.sources)
    if own.rounds > n:
        raise ValueError(
            f"mixture.online.skill_it.rounds={own.rounds}, but mixture.online.tokens={s.settings.tokens:,} are "
            f"{n} steps; allowed: 1 to {n} rounds, or more tokens"
        )
    short = max(1, round(own.graph_share * n))
    meter = s.meter(d * short + n)
    before = _validation_losses(s.trainer(1), s.text)
    after = np.stack([_after_source(s, number, short, meter) for number in range(d)])
    graph = skill_it.skills_graph(before, after)
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
