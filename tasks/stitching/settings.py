"""Settings of the stitching stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class StitchingSettings(BaseModel):
    """Stitch layers between seed and experts, and what they are compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_stitches: int = Field(2, ge=1, le=256, description="K, stitch layers; at most the number of layers.")
    gate_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout on the gates while training.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak learning rate of the stitches.")
    compositions: tuple[Literal["soup"], ...] = Field(
        ("soup",), description="Training-free combinations of seed and experts to compare with."
    )
