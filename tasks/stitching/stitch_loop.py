"""How stitches train beside what they join: the loop with the stitches' own settings, and which weights are which."""

from __future__ import annotations

from dataclasses import replace

from tasks.stitching.compositions.composition import TrainedSettings
from tasks.stitching.settings import StitchSettings
from tasks.training.training_run import Rates, Training

GATES = ".gate"  # how the names of gate weights end
PROJECTIONS = ".projections"  # and those of the projections, which start as the identity
ADAPTERS = ".adapters"  # and those of the linears of BAM with adapters, which do too


def stitch_training(settings: StitchSettings, training: Training) -> Training:
    """The same with the stitches' own schedule and weight decay."""
    own = {
        "warmup_share": settings.warmup_share,
        "final_share": settings.final_share,
        "weight_decay": settings.weight_decay,
    }
    return replace(training, settings=training.settings.model_copy(update=own))


def rates_of(settings: StitchSettings | TrainedSettings) -> Rates:
    """How fast the weights of stitches, or of a composition, train, and which of them decay towards the identity."""
    assert settings.learning_rate is not None
    if isinstance(settings, TrainedSettings):
        return Rates(settings.learning_rate, near_identity=(ADAPTERS,))
    near_identity = (PROJECTIONS,) if settings.decay_towards == "identity" else ()
    return Rates(settings.learning_rate, {GATES: settings.gate_rate_scale}, near_identity)
