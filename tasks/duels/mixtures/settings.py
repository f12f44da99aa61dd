"""Settings of a duel of mixtures."""

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks.mixture.methods import MixtureChoice, mixture_settings
from tasks.tables.file_names import NAME_PATTERN
from tasks.utility.settings import MethodName

MEASURES = {
    "heldout": "bits per byte of held-out text",
    "answers": "bits per byte of right answers",
    "accuracy": "accuracy",
}


class Contender(BaseModel):
    """A way to choose the mixture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN, max_length=40, description="Name in tables and pictures.")
    mixture: MixtureChoice = Field(description="Method, epoch cap and what else the method takes.")
    utility: MethodName = Field(
        "ngram", description="How utility is estimated, by the settings under `utility`."
    )


class Regime(BaseModel):
    """How scarce data is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN, max_length=40, description="Name in tables and pictures.")
    epochs: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Epochs of all data together that the largest budget is: every source is cut to the same "
        "share. Empty: all the data there is.",
    )


def default_contenders() -> tuple[Contender, ...]:
    """The default and UtiliMax by two utilities, and what needs none; uniform and proportional know no cap."""
    return (
        Contender(name="returns-ngram", mixture=mixture_settings(), utility="ngram"),
        Contender(name="returns-ablation", mixture=mixture_settings(), utility="ablation"),
        Contender(name="utilimax-ngram", mixture=mixture_settings(method="utilimax"), utility="ngram"),
        Contender(name="utilimax-ablation", mixture=mixture_settings(method="utilimax"), utility="ablation"),
        Contender(name="uniform", mixture=mixture_settings(method="uniform", epoch_cap=1000)),
        Contender(name="proportional", mixture=mixture_settings(method="proportional", epoch_cap=1000)),
        Contender(name="unimax", mixture=mixture_settings(method="unimax")),
    )


class DuelSettings(BaseModel):
    """Which mixtures are trained on, with how much data, at which budgets, how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contenders: tuple[Contender, ...] = Field(
        default_factory=default_contenders, min_length=2, description="What is compared."
    )
    regimes: tuple[Regime, ...] = Field(
        (Regime(name="compute-bound"), Regime(name="data-bound", epochs=2.0)),
        min_length=1,
        description="How scarce data is.",
    )
    rungs: tuple[float, ...] = Field(
        (0.25, 0.5, 1.0),
        min_length=1,
        description="Budgets to train at, as shares of budget.tokens, each from new weights with its own mixture: "
        "between them is read how many tokens a contender needs to reach another's score.",
    )
    seeds: int = Field(3, ge=1, le=100, description="Runs of each, from different weights and orders.")
    junk_sources: tuple[str, ...] = Field(
        (),
        description="Names, or patterns such as noise*, of sources whose held-out text does not count in the mean.",
    )

    @field_validator("rungs")
    @classmethod
    def _shares_ascend_to_one(cls, rungs: tuple[float, ...]) -> tuple[float, ...]:
        if sorted(set(rungs)) != list(rungs) or rungs[0] <= 0 or rungs[-1] != 1:
            raise ValueError(f"{list(rungs)}: must be ascending shares above 0 that end with 1")
        return rungs

    @model_validator(mode="after")
    def _names_differ(self) -> "DuelSettings":
        for what, listed in (("contenders", self.contenders), ("regimes", self.regimes)):
            names = [entry.name for entry in listed]
            if len(set(names)) < len(names):
                raise ValueError(f"{what} are named {names}; every name may stand once")
        return self
