"""What all rules share that learn static weights with proxies: the proxies' runs, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import models
from tasks.proxies.online.online_loop import Meter, Place, ProxyTrainer, Trace, train_proxy
from tasks.proxies.online.online_rule import OnlineRule, Rule
from tasks.proxies.online.proxy_text import ProxyText, SourceStreams
from tasks.proxies.online.settings import OnlineSettings
from tasks.training.settings import TrainingSettings
from tasks.training.step_log import StepReport
from tasks.training.token_plans import Array

FORWARD_SHARE = 1 / 3  # of a training step's operations, without its backward pass


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
    """What all proxies of one learning share.

    start: folder of the new model. sizes: tokens that a source holds.
    """

    rule: OnlineRule
    start: str
    text: ProxyText
    sizes: Mapping[str, int]
    settings: OnlineSettings
    training: TrainingSettings
    random_seed: int
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

    @property
    def own(self) -> Any:
        """The rule's own settings."""
        return self.settings.own(self.rule)

    def base(self, name: str) -> Array:
        """Weights (d,) of the mixture `proportional` or `uniform`."""
        sizes = np.array([self.sizes[source] for source in self.text.sources], float)
        return sizes / sizes.sum() if name == "proportional" else np.full(len(sizes), 1 / len(sizes))

    def trainer(self, num_steps: int) -> ProxyTrainer:
        import torch

        return ProxyTrainer(models.load_causal_lm(self.start, torch.float32), self.training, num_steps)

    def run(self, name: str, trainer: ProxyTrainer, rule: Rule, meter: Meter) -> Trace:
        place = Place(self.progress / name, self.training.checkpoint_seconds, self.random_seed, name)
        batch_size = self.training.batch_size
        streams = SourceStreams(
            self.text, self.training.sequence_length, trainer.num_steps * batch_size, self.random_seed
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
