"""Settings of the mixture stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Method = Literal["utilimax", "uniform", "proportional", "unimax", "manual"]

RESERVED = ("seed", "hub", "soup", "stitched")  # what is called by name beside the experts


class MixtureSettings(BaseModel):
    """How much of each source the seed, the experts and the stitch layers are trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = Field(
        "utilimax",
        description="How the mixtures of the seed and of the stitch layers are chosen; an expert's always "
        "follows from the utility for its own tasks.",
    )
    epoch_cap: float = Field(
        4.0,
        gt=0,
        le=1000,
        allow_inf_nan=False,
        description="Most epochs of any source over seed, one expert and stitch layers together.",
    )
    risk: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Risk weight of the seed's mixture (UtiliMax); "
        "empty: the number of sources, as in the paper.",
    )
    manual: dict[str, float] = Field(
        default={},
        description="Weight of every source by name, for the method manual; they are divided by their sum.",
    )
    expert_effective_sources: float = Field(
        1.5,
        ge=1,
        allow_inf_nan=False,
        description="Effective number of sources, 1 / sum of squared weights, of an expert before replay.",
    )
    replay_share: float = Field(
        0.1, ge=0, lt=1, description="Share of an expert's tokens that follows the seed's mixture."
    )
    admission_errors: float = Field(
        2.0,
        ge=0,
        le=10,
        description="A source is admitted to an expert if its relative utility for the expert's tasks, on "
        "average or for one of them, is above so many standard errors.",
    )
    admission_share: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="And at least this share of the best source's: keeps out what is of no use to any task.",
    )
    stitch_effective_sources: float | None = Field(
        None,
        ge=1,
        allow_inf_nan=False,
        description="Effective number of sources of the stitch layers' mixture (UtiliMax); empty: 0.675 for each "
        "source, as the 15/15/15/55 of arXiv 2502.00075 has 2.7 of 4.",
    )

    @field_validator("manual")
    @classmethod
    def _weights_are_weights(cls, manual: dict[str, float]) -> dict[str, float]:
        wrong = {name: weight for name, weight in manual.items() if not 0 <= weight < float("inf")}
        if wrong:
            raise ValueError(f"weights must be finite and at least 0, not {wrong}")
        if manual and not sum(manual.values()) > 0:
            raise ValueError("one weight at least must be above 0")
        return manual

    @model_validator(mode="after")
    def _risk_goes_with_utilimax(self) -> "MixtureSettings":
        if self.risk is not None and self.method != "utilimax":
            raise ValueError(
                f"risk={self.risk} has no effect with method {self.method!r}; allowed: with 'utilimax'"
            )
        return self

    @model_validator(mode="after")
    def _manual_goes_with_its_weights(self) -> "MixtureSettings":
        if (self.method == "manual") != bool(self.manual):
            raise ValueError(
                f"method={self.method!r} with manual={self.manual}: the method 'manual' needs a weight for "
                "every source under `manual`, and the other methods take none"
            )
        return self
