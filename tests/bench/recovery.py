"""What recovery after a spike is worth: loss on held-out text, with and without it, and where nothing went wrong.

Runs are small Llama models on a made text (`stability`). Troubles: a burst of batches whose tokens are all one, that
drives the weights away; and a learning rate that climbs until training breaks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import models
from tasks.training.loop import train
from tasks.training.settings import TrainingSettings
from tasks.training.stability.settings import MonitorSettings, RecoverySettings, StabilitySettings
from tasks.training.token_order import TokenOrder
from tests.bench.stability import BATCH, CLIMBING, LAYERS, LENGTH, VOCABULARY, made_text

SEEDS = range(4)
STEPS = 600
BURST = range(300, 340)  # batches
HELD_OUT = 256  # sequences
NEVER = RecoverySettings(when="never")
LEAVE = RecoverySettings(when="always", every=50, ring=6, skip=40)
WAYS = {
    "without recovery": NEVER,
    "rewind, batches left out": LEAVE,
    "rewind, batches read at the end": LEAVE.model_copy(update={"skipped": "replay"}),
}
TROUBLES: dict[str, tuple[range, dict[str, float]]] = {
    "nothing wrong": (range(0), {"learning_rate": 1e-2}),
    f"{len(BURST)} batches of one token": (BURST, {"learning_rate": 1e-2}),
    "climbing rate": (range(0), CLIMBING | {"beta2": 0.99}),
}


class _Burst(TokenOrder):
    """The order of a text in which some batches are one token over and over."""

    bad: range = range(0)

    def sequence(self, number: int) -> np.ndarray:
        real = super().sequence(number)
        return np.full_like(real, number % 3) if number // BATCH in self.bad else real


def measure() -> Iterator[str]:
    text = made_text(200_000 + HELD_OUT * LENGTH)
    held = torch.tensor(text[200_000:].astype(np.int64)).reshape(HELD_OUT, LENGTH)
    for trouble, (bad, recipe) in TROUBLES.items():
        for way, recovery in WAYS.items():
            if not bad and "climbing" not in trouble and recovery is not NEVER:
                continue
            ended = [_ended(text[:200_000], held, bad, recipe, recovery, seed) for seed in SEEDS]
            losses, rewinds, left = (np.array(column) for column in zip(*ended, strict=True))
            yield (
                f"{trouble}, {way}: held-out loss {losses.mean():.3f} [{losses.min():.3f}, {losses.max():.3f}] over "
                f"{len(losses)} seeds; rewinds {rewinds.tolist()}, batches not read {left.tolist()} of {STEPS}"
            )


def _ended(
    text: np.ndarray,
    held: torch.Tensor,
    bad: range,
    recipe: dict[str, float],
    recovery: RecoverySettings,
    seed: int,
) -> tuple[float, int, int]:
    """Held-out loss in nats a token, rewinds, and batches that were left out."""
    stability = StabilitySettings(monitor=MonitorSettings(every=10), recovery=recovery)
    settings = TrainingSettings(sequence_length=LENGTH, batch_size=BATCH, stability=stability, **recipe)
    config = models.seed_config(
        VOCABULARY, 32, LAYERS, 4, max_length=LENGTH, ffn_multiple=16, tie_embeddings=False
    )
    order = _Burst({"text": text}, {"text": STEPS * BATCH}, {}, LENGTH, "recovery", seed)
    order.bad = bad
    model = models.new_seed_model(config, seed)
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(model, order, settings, settings.learning_rate, seed, Path(folder), lambda row: None)
    rewinds = sum(event["event"] == "rewind" for event in outcome.events)
    left = len(outcome.skipped) if recovery.skipped == "leave" else 0
    with torch.no_grad():
        loss = float(model.eval()(input_ids=held, labels=held, use_cache=False).loss)
    return loss, rewinds, left
