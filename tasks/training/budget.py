"""From a budget to the tokens of each training run, in whole optimiser steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.training.architecture import seed_architecture
from tasks.training.settings import BudgetSettings, ModelSettings, TrainingSettings

WARM_UP_STEPS = 2
MEASURED_SECONDS = 3.0


@dataclass(frozen=True)
class Budget:
    """Tokens to train on: the seed, each expert, the stitches."""

    seed: int
    expert: int
    stitch: int
    num_experts: int

    @property
    def total(self) -> int:
        return self.seed + self.num_experts * self.expert + self.stitch


def split_budget(tokens: int, settings: BudgetSettings, num_experts: int, tokens_per_step: int) -> Budget:
    """Share out `tokens`; every share is rounded down to whole steps.

    Raises ValueError where a share is less than one step, naming the smallest budget that is enough.
    """
    shares = {
        "seed": settings.seed_share,
        "expert": (1 - settings.seed_share - settings.stitch_share) / num_experts,
        "stitch": settings.stitch_share,
    }
    steps = {name: int(tokens * share / tokens_per_step) for name, share in shares.items()}
    if min(steps.values()) == 0:
        least = int(tokens_per_step / min(shares.values())) + 1
        raise ValueError(
            f"budget of {tokens:,} tokens: the smallest of its shares {shares} is less than one step of "
            f"{tokens_per_step:,} tokens; allowed: at least {least:,} tokens"
        )
    return Budget(**{name: count * tokens_per_step for name, count in steps.items()}, num_experts=num_experts)


def tokens_in_time(
    settings: BudgetSettings, minutes: float, dense_speed: float, stitched_speed: float
) -> int:
    """Tokens that train in the training share of `minutes`, at the speeds given in tokens/s.

    Seed and experts train at `dense_speed`, the stitches at `stitched_speed`.
    """
    seconds = 60 * minutes * settings.training_share
    seconds_per_token = (1 - settings.stitch_share) / dense_speed + settings.stitch_share / stitched_speed
    return int(seconds / seconds_per_token)


def measure_speeds(
    model: ModelSettings,
    training: TrainingSettings,
    vocab_size: int,
    num_experts: int,
    num_stitches: int,
    random_seed: int,
) -> dict[str, float]:
    """Training tokens/s on this machine of the seed model ("dense") and of a stitched one ("stitched")."""
    import models

    if model.pretrained is not None:
        dense = models.load_causal_lm(model.pretrained)
    else:
        dense = models.new_seed_model(seed_architecture(model, training, vocab_size), random_seed)
    stitched = models.StitchedForCausalLM.from_models(
        dense, {str(number): dense for number in range(num_experts)}, num_stitches=num_stitches
    )
    return {
        name: _tokens_per_second(candidate, training, vocab_size)
        for name, candidate in (("dense", dense), ("stitched", stitched))
    }


def _tokens_per_second(model: Any, training: TrainingSettings, vocab_size: int) -> float:
    """Speed of the training loop itself, over as many steps as fit into a few seconds."""
    import tempfile
    import time
    from pathlib import Path

    import numpy as np

    from tasks.training.loop import train
    from tasks.training.token_order import TokenOrder

    tokens = np.arange(64 * training.tokens_per_step, dtype=np.int64) % vocab_size
    steps = WARM_UP_STEPS
    while True:
        counts = {"all": steps * training.batch_size}
        order = TokenOrder({"all": tokens}, counts, {}, training.sequence_length, "speed", 0)
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            train(model, order, training, 1e-5, 0, Path(folder), lambda row: None)
            seconds = time.monotonic() - started
        if seconds >= MEASURED_SECONDS:
            return steps * training.tokens_per_step / seconds
        steps = max(2 * steps, int(steps * MEASURED_SECONDS / seconds) + 1)
