"""Settings of the stitching stage."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from tasks.method import lines, settings_of
from tasks.stitching.compositions import COMPOSITIONS, COMPOSITIONS_BY_NAME, RESERVED_NAMES
from tasks.stitching.compositions.composition import CompositionSettings, TrainedSettings


def _by_method(given: Any) -> Any:
    return {"method": given} if isinstance(given, str) else given


if TYPE_CHECKING:
    AnyComposition = CompositionSettings
else:
    AnyComposition = Annotated[settings_of(COMPOSITIONS, default="soup"), BeforeValidator(_by_method)]


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
    warmup_share: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of the stitches' steps that warm up linearly; 2/7 in the paper.",
    )
    final_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Cosine decay of the stitches ends at this share of the peak; .01 in the paper.",
    )
    weight_decay: float = Field(0.1, ge=0, description="AdamW weight decay of the stitches.")
    decay_towards: Literal["identity", "zero"] = Field(
        "identity",
        description="What weight decay pulls the projections to: the identity, which they start as, or zero. Gates "
        "start at zero, and are pulled there.",
    )


class StitchingSettings(StitchSettings):
    """Stitch layers between seed and experts, and what they are compared with."""

    compositions: tuple[AnyComposition, ...] = Field(
        (COMPOSITIONS_BY_NAME["soup"].configured(),),
        description="Other ways to combine seed and experts to compare with, each by name or with settings, such as "
        "[soup, {method: ties, density: 0.3}]. Those that train get as many tokens as the stitches, of the same "
        f"mixture. {lines(COMPOSITIONS)}.",
    )
    composition_learning_rate: float = Field(
        1e-3,
        gt=0,
        le=1,
        description="Peak learning rate of the compositions that train and have none of their own.",
    )

    @field_validator("compositions")
    @classmethod
    def _names_differ(cls, compositions: tuple[AnyComposition, ...]) -> tuple[AnyComposition, ...]:
        names = [composition.called for composition in compositions]
        taken = [
            each.name for each in compositions if each.name != each.method and each.name in RESERVED_NAMES
        ]
        if taken or len(set(names)) < len(names):
            raise ValueError(
                f"compositions are called {', '.join(names)}; allowed: each name once (give a `name` to those of one "
                f"method), and no `name` of {', '.join(RESERVED_NAMES)}"
            )
        return compositions

    def composed(self) -> tuple[AnyComposition, ...]:
        """The compositions with the learning rate that each trains with."""
        rate = {"learning_rate": self.composition_learning_rate}
        return tuple(
            each.model_copy(update=rate)
            if isinstance(each, TrainedSettings) and each.learning_rate is None
            else each
            for each in self.compositions
        )

    def names_taken(self) -> tuple[str, ...]:
        """What experts may not be called: names with a meaning of their own, and those of the compositions."""
        return tuple(dict.fromkeys([*RESERVED_NAMES, *(each.called for each in self.compositions)]))
