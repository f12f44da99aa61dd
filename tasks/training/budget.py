"""From a budget to the tokens of each training run, in whole optimiser steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.training.architecture import seed_architecture
from tasks.training.settings import BudgetSettings, ModelSettings, TrainingSettings
from tasks.training.start import pretrained_model

WARM_UP_STEPS = 2
MEASURED_SECONDS = 3.0
ROUNDING = 1e-9  # of shares that are whole steps but for the last bit


@dataclass(frozen=True)
class Budget:
    """Tokens to train on: the seed, each expert that is trained, the stitches; 0 of what is taken as it is."""

    seed: int
    expert: int
    stitch: int
    num_trained: int

    @property
    def total(self) -> int:
        return self.seed + self.num_trained * self.expert + self.stitch

    @property
    def first(self) -> int:
        """Tokens that the first mixture is for: the seed's; of one taken as it is, all that follows in a line."""
        return self.seed or self.expert + self.stitch


def shares_of(settings: BudgetSettings, num_trained: int) -> dict[str, float]:
    """Shares of the tokens by seed, expert (each of those trained) and stitch.

    Where no expert is trained, seed and stitches share all in proportion to their own shares.
    """
    seed, stitch = settings.seed_share, settings.stitch_share
    if num_trained == 0:
        return {"seed": seed / (seed + stitch), "expert": 0.0, "stitch": stitch / (seed + stitch)}
    return {"seed": seed, "expert": (1 - seed - stitch) / num_trained, "stitch": stitch}


def split_budget(tokens: int, settings: BudgetSettings, num_trained: int, tokens_per_step: int) -> Budget:
    """Share out `tokens` among what trains; every share is rounded down to whole steps.

    num_trained: experts that are. Raises ValueError where a share is less than one step, naming the smallest budget
    that is enough.
    """
    shares = shares_of(settings, num_trained)
    steps = {name: int(tokens * share / tokens_per_step + ROUNDING) for name, share in shares.items()}
    if any(share > 0 and steps[name] == 0 for name, share in shares.items()):
        least = int(tokens_per_step / min(filter(None, shares.values()))) + 1
        raise ValueError(
            f"budget of {tokens:,} tokens: the smallest of its shares {shares} is less than one step of "
            f"{tokens_per_step:,} tokens; allowed: at least {least:,} tokens"
        )
    return Budget(**{name: count * tokens_per_step for name, count in steps.items()}, num_trained=num_trained)


def whole_steps(tokens: int, tokens_per_step: int) -> int:
    """`tokens`, rounded down to whole steps. Raises ValueError where they are less than one."""
    if tokens < tokens_per_step:
        raise ValueError(
            f"budget of {tokens:,} tokens: less than one step; allowed: at least {tokens_per_step:,} tokens"
        )
    return tokens // tokens_per_step * tokens_per_step


def tokens_in_time(
    settings: BudgetSettings, minutes: float, dense_speed: float, stitched_speed: float, num_trained: int
) -> int:
    """Tokens that train in the training share of `minutes`, at the speeds given in tokens/s.

    Seed and the experts that are trained train at `dense_speed`, the stitches at `stitched_speed`.
    """
    seconds = 60 * minutes * settings.training_share
    stitch = shares_of(settings, num_trained)["stitch"]
    seconds_per_token = (1 - stitch) / dense_speed + stitch / stitched_speed
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
        dense = pretrained_model(model, random_seed)
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

    from tasks.training.document_order import read_as_set
    from tasks.training.loop import train
    from tasks.training.token_order import TokenOrder

    tokens = np.arange(64 * training.tokens_per_step, dtype=np.int64) % vocab_size
    steps = WARM_UP_STEPS
    while True:
        counts = {"all": steps * training.batch_size}
        order = TokenOrder(
            {"all": tokens},
            counts,
            {},
            training.sequence_length,
            "speed",
            0,
            None,
            int(training.border_targets),
        )
        sequences, objective = read_as_set(order, training, int(tokens[-1]), model)
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            train(model, sequences, training, 1e-5, 0, Path(folder), lambda row: None, objective=objective)
            seconds = time.monotonic() - started
        if seconds >= MEASURED_SECONDS:
            return steps * training.tokens_per_step / seconds
        steps = max(2 * steps, int(steps * MEASURED_SECONDS / seconds) + 1)
