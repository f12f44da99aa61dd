"""What all mixture methods are set by: epoch cap, experts, replay."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field

from tasks.method import MethodSettings


class MixtureSettings(MethodSettings):
    """How much of each source the seed, the experts and the stitch layers are trained on."""

    epoch_cap: float = Field(
        4.0,
        gt=0,
        le=1000,
        allow_inf_nan=False,
        description="Most epochs of any source over seed, one expert and stitch layers together.",
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

    def identity(self) -> dict[str, Any]:
        """What decides a mixture; what was learnt online comes as an input of its own."""
        return self.model_dump(mode="json", exclude={"online"})

    def with_languages(self, languages: Mapping[str, str]) -> Self:
        """The settings, for sources of these languages, by source; most methods do not ask."""
        return self
