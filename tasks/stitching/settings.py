"""Settings of the stitching stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

CompositionName = Literal[
    "soup",
    "ties",
    "dare-linear",
    "dare-ties",
    "btm",
    "routing",
    "btx-soft",
    "btx-sampled",
    "bam",
    "bam-adapters",
]
TRAINED_COMPOSITIONS = ("routing", "btx-soft", "btx-sampled", "bam", "bam-adapters")


class StitchSettings(BaseModel):
    """Stitch layers between hub and experts, and how they are trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_stitches: int = Field(2, ge=1, le=256, description="K, stitch layers; at most the number of layers.")
    layout: Literal["alternating", "experts-into-hub"] = Field(
        "alternating",
        description="Which way stitches pass states. alternating: hub into experts and experts into hub in turns, "
        "the latter last. experts-into-hub: all of them.",
    )
    gate_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout on the gates while training.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak learning rate of the projections.")
    gate_rate_scale: float = Field(
        1.0, gt=0, le=1000, description="Learning rate of the gates as a multiple of the projections'."
    )
    warmup_share: float = Field(0.05, ge=0, lt=1, description="Share of the steps that warm up linearly.")
    weight_decay: float = Field(0.1, ge=0, description="AdamW weight decay of the stitches.")


class StitchingSettings(StitchSettings):
    """Stitch layers between seed and experts, and what they are compared with."""

    compositions: tuple[CompositionName, ...] = Field(
        ("soup",),
        description="Other ways to combine seed and experts to compare with. Those that train get as many tokens "
        "as the stitches, of the same mixture.",
    )
    composition_learning_rate: float = Field(
        1e-3, gt=0, le=1, description="Peak learning rate of the compositions that train."
    )
