"""The loop that a proxy trains in while a rule decides what it reads and how much each source counts.

The optimiser and its schedule are those of the training loop; what differs is that a step's sequences are
chosen as late as the step itself. A kill loses at most one checkpoint interval: model, optimiser, the rule and
all that was recorded are kept together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch.nn import functional as F

from storage.fingerprint import digest_file
from tasks.proxies.online.online_rule import Rule
from tasks.proxies.online.proxy_text import SourceStreams
from tasks.training.checkpoints import (
    latest_checkpoint,
    restore_checkpoint,
    save_checkpoint,
    set_broken_aside,
)
from tasks.training.loop import learning_rate_at, make_optimizer
from tasks.training.micro_batches import estimated_micro_batch
from tasks.training.settings import TrainingSettings
from tasks.training.step_log import LOG_SECONDS, StepReport
from tasks.training.token_order import generator
from tasks.training.token_plans import Array

Ids = NDArray[np.int64]
Sources = NDArray[np.intp]


class ProxyTrainer:
    """A model in training: the loss of every token, and steps on sequences that count as they are told to."""

    def __init__(self, model: Any, settings: TrainingSettings, num_steps: int) -> None:
        self._device = PartialState().device
        self._model = model.to(self._device).train()
        self._settings, self.num_steps, self.done = settings, num_steps, 0
        self.optimizer = make_optimizer(self._model, settings)
        self.trainable = {name: w for name, w in self._model.named_parameters() if w.requires_grad}
        self.norm = math.nan
        own = settings.micro_batch_size
        self._size = estimated_micro_batch(model, settings) if own == "auto" else own or settings.batch_size

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        peak = self._settings.learning_rate
        return learning_rate_at(self.done, self.num_steps, peak, self._settings)

    @torch.no_grad()
    def token_losses(self, ids: Ids) -> Array:
        """Loss in nats (n, length - 1) of each token but the first of each sequence (n, length)."""
        return np.concatenate([self._losses(part).cpu().numpy() for part in self._parts(ids)]).astype(float)

    def step(self, ids: Ids, weights: Array | None = None) -> Array:
        """One optimiser step on sum_k weights_k * mean loss of sequence k; the mean loss (n,) of each before it.

        weights (n,): None: 1/n each, the mean loss.
        """
        counted = np.full(len(ids), 1 / len(ids)) if weights is None else weights
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        seen, begin = [], 0
        for part in self._parts(ids):
            losses = self._losses(part).mean(dim=1)
            share = torch.as_tensor(counted[begin : begin + len(part)], device=losses.device)
            (losses * share.to(losses.dtype)).sum().backward()
            seen.append(losses.detach().cpu().numpy())
            begin += len(part)
        self.norm = float(torch.nn.utils.clip_grad_norm_(self.trainable.values(), self._settings.clip))
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1
        return np.concatenate(seen).astype(float)

    def _parts(self, ids: Ids) -> Sequence[Ids]:
        return [ids[begin : begin + self._size] for begin in range(0, len(ids), self._size)]

    def _losses(self, ids: Ids) -> torch.Tensor:
        inputs = torch.from_numpy(ids).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._settings.precision == "bf16"):
            logits = self._model(input_ids=inputs, use_cache=False).logits
        return F.cross_entropy(logits[:, :-1].float().transpose(1, 2), inputs[:, 1:], reduction="none")


@dataclass(frozen=True)
class Trace:
    """One row a step (steps, d): sequences drawn, mean loss by source (NaN: not drawn), and the rule's weights."""

    counts: NDArray[np.int64]
    losses: Array
    weights: Array


class Meter:
    """Tells of the steps of all runs together, about once a second."""

    def __init__(self, report: StepReport, num_steps: int, tokens_per_step: int) -> None:
        self._report, self._num_steps, self._tokens = report, num_steps, tokens_per_step
        self._done, self._told = 0, time.monotonic()
        self._losses: list[float] = []

    def skip(self, steps: int) -> None:
        """Steps that an earlier process did."""
        self._done += steps

    def add(self, loss: float, trainer: ProxyTrainer, rate: float) -> None:
        self._done += 1
        self._losses.append(loss)
        seconds = time.monotonic() - self._told
        if seconds < LOG_SECONDS and self._done < self._num_steps:
            return
        speed = len(self._losses) * self._tokens / max(seconds, 1e-9)
        row = {
            "step": self._done,
            "steps": self._num_steps,
            "loss": float(np.mean(self._losses)),
            "learning_rate": rate,
            "gradient_norm": trainer.norm,
            "tokens_per_second": speed,
            "seconds_left": (self._num_steps - self._done) * self._tokens / speed,
        }
        self._report(row)
        self._told, self._losses = time.monotonic(), []


@dataclass(frozen=True)
class Place:
    """Where a run keeps its checkpoints, how often, and what its random numbers depend on."""

    folder: Path
    seconds: float
    random_seed: int
    name: str


def train_proxy(
    trainer: ProxyTrainer,
    streams: SourceStreams,
    rule: Rule,
    batch_size: int,
    place: Place,
    meter: Meter,
) -> Trace:
    """All steps of the trainer, going on from a checkpoint of the place.

    Raises FloatingPointError where a loss is no longer finite.
    """
    num_sources = len(streams.position)
    rows = _resumed(trainer, streams, rule, place)
    meter.skip(trainer.done)
    saved = time.monotonic()
    for step in range(trainer.done, trainer.num_steps):
        counts = rule.draw(step, batch_size, generator(place.random_seed, "online", place.name, str(step)))
        ids, source = streams.take(counts)
        rate = trainer.learning_rate
        by_sequence = trainer.step(ids, rule.sequence_weights(ids, source))
        loss = float(by_sequence.mean())
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"{place.name}: loss is {loss} at step {step + 1}: training has diverged; a lower learning rate "
                "may help"
            )
        losses = mean_by_source(by_sequence, source, num_sources)
        weights = rule.observe(step, counts, losses)
        for column, values in zip(rows, (counts, losses, weights), strict=True):
            column.append(values)
        meter.add(loss, trainer, rate)
        if time.monotonic() - saved > place.seconds or step + 1 == trainer.num_steps:
            _save(trainer, streams, rule, place, rows)
            saved = time.monotonic()
    return Trace(*(np.array(column) for column in rows))


def mean_by_source(values: Array, source: Sources, num_sources: int) -> Array:
    """Mean of values (n,) by source (d,); NaN for a source that has none."""
    counts = np.bincount(source, minlength=num_sources)
    sums = np.bincount(source, values, minlength=num_sources)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _save(
    trainer: ProxyTrainer, streams: SourceStreams, rule: Rule, place: Place, rows: tuple[list, list, list]
) -> None:
    """The rule's side first: the model's checkpoint, renamed into place, is what makes it count."""
    place.folder.mkdir(parents=True, exist_ok=True)
    counts, losses, weights = (np.array(column) for column in rows)
    arrays: dict[str, Any] = {f"rule_{name}": value for name, value in rule.state.items()}
    arrays |= {"position": streams.position, "counts": counts, "losses": losses, "weights": weights}
    kept = _beside(place, trainer.done)
    np.savez(kept, **arrays)
    beside = {kept.name: digest_file(kept)}
    save_checkpoint(place.folder, trainer.done, trainer.trainable, trainer.optimizer, beside)
    with_checkpoint = {path.name.removeprefix("step-") for path in place.folder.glob("step-*")}
    for path in place.folder.glob("rule-*.npz"):
        if path.stem.removeprefix("rule-") not in with_checkpoint:
            path.unlink()


def _resumed(
    trainer: ProxyTrainer, streams: SourceStreams, rule: Rule, place: Place
) -> tuple[list, list, list]:
    set_broken_aside(place.folder)
    checkpoint = latest_checkpoint(place.folder)
    if checkpoint is None:
        return [], [], []
    restore_checkpoint(checkpoint, trainer.trainable, trainer.optimizer)
    trainer.done = checkpoint.step
    with np.load(_beside(place, checkpoint.step), allow_pickle=False) as kept:
        streams.position = kept["position"]
        rule.state = {name.removeprefix("rule_"): kept[name] for name in kept if name.startswith("rule_")}
        return list(kept["counts"]), list(kept["losses"]), list(kept["weights"])


def _beside(place: Place, step: int) -> Path:
    return place.folder / f"rule-{step:09d}.npz"
