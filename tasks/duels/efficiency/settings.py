"""Settings of the comparison of dense models and mixtures of experts at equal FLOPs."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

DENSE, MOE = "dense", "moe"


class EfficiencySettings(BaseModel):
    """The ladder: what compute, how often, and where speed-up is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rungs: tuple[float, ...] = Field(
        (0.125, 0.25, 0.5, 1.0),
        min_length=2,
        description="Compute to train at, as shares of what the dense model needs for budget.tokens, each from new "
        "weights with its own schedule; at each the mixture of experts gets fewer tokens, since one costs it more.",
    )
    seeds: int = Field(3, ge=1, le=100, description="Runs of each, from different weights and orders.")
    levels: int = Field(
        3,
        ge=1,
        le=20,
        description="Levels of a score at which speed-up is read, evenly inside what both reach.",
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="Resamples of the seeds for the band.")

    @field_validator("rungs")
    @classmethod
    def _shares_ascend_to_one(cls, rungs: tuple[float, ...]) -> tuple[float, ...]:
        if sorted(set(rungs)) != list(rungs) or rungs[0] <= 0 or rungs[-1] != 1:
            raise ValueError(f"{list(rungs)}: must be ascending shares above 0 that end with 1")
        return rungs
