"""How stitches train beside what they join: which weights are gates, and the loop with the stitches' own settings."""

from __future__ import annotations

from dataclasses import replace

from tasks.stitching.settings import StitchSettings
from tasks.training.training_run import Training

GATES = ".gate"  # how the names of gate weights end


def stitch_training(settings: StitchSettings, training: Training) -> Training:
    """The same with the stitches' own warm-up and weight decay."""
    own = {"warmup_share": settings.warmup_share, "weight_decay": settings.weight_decay}
    return replace(training, settings=training.settings.model_copy(update=own))
