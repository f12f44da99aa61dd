"""Settings of the mixture stage."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks.proxies.online.settings import OnlineMethod, OnlineSettings

Method = Literal["utilimax", "uniform", "proportional", "unimax", "olmo", "manual"]  # these train no proxy
Law = Literal[
    "auto", "ridge", "log-linear", "power", "diminishing", "lightgbm", "gp", "diminishing+gp", "fusion"
]


class MixtureSettings(BaseModel):
    """How much of each source the seed, the experts and the stitch layers are trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal[Method, OnlineMethod, "law"] = Field(
        "utilimax",
        description="How the mixtures of the seed and of the stitch layers are chosen; an expert's always "
        "follows from the utility for its own tasks. doremi, odm and skill-it learn weights while proxies train; "
        "law is fitted to the swarm of utility.method=ablation.",
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
    kappa: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Weight of the utility's standard errors in the risk of the seed's mixture (UtiliMax): "
        "sources whose utility is known badly get less. 0: the paper's risk.",
    )
    manual: dict[str, float] = Field(
        default={},
        description="Weight of every source by name, for the method manual; they are divided by their sum.",
    )
    passes: dict[str, float] = Field(
        default={},
        description="Passes over a source by name, for the method olmo: weight ~ tokens * passes. What is not named: "
        "0.5 if its name has the word web, cc, commoncrawl, crawl or c4; 2 if one begins with wiki or encyclop; "
        "else 1, as in Dolma 1.7.",
    )
    law: Law = Field("auto", description="Law of the method law; auto: stacked by cross-validation.")
    online: OnlineSettings = Field(
        OnlineSettings(), description="Settings of the methods doremi, odm and skill-it."
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

    @field_validator("passes")
    @classmethod
    def _passes_are_above_0(cls, passes: dict[str, float]) -> dict[str, float]:
        wrong = {name: count for name, count in passes.items() if not 0 < count < float("inf")}
        if wrong:
            raise ValueError(f"passes must be finite and above 0, not {wrong}")
        return passes

    @model_validator(mode="after")
    def _settings_go_with_the_method(self) -> "MixtureSettings":
        owners = {"passes": "olmo", "law": "law"}
        owners |= dict.fromkeys(("risk", "kappa", "stitch_effective_sources"), "utilimax")
        for name, owner in owners.items():
            value = getattr(self, name)
            if value != type(self).model_fields[name].default and self.method != owner:
                raise ValueError(
                    f"{name}={value} has no effect with method {self.method!r}; allowed: with {owner!r}"
                )
        self.online.check(self.method)
        return self

    @model_validator(mode="after")
    def _manual_goes_with_its_weights(self) -> "MixtureSettings":
        if (self.method == "manual") != bool(self.manual):
            raise ValueError(
                f"method={self.method!r} with manual={self.manual}: the method 'manual' needs a weight for "
                "every source under `manual`, and the other methods take none"
            )
        return self

    @property
    def online_method(self) -> OnlineMethod | None:
        """The method where it learns weights while proxies train."""
        return self.method if self.method in get_args(OnlineMethod) else None  # type: ignore[return-value]

    def identity(self) -> dict[str, Any]:
        """What decides a mixture; what was learnt online comes as an input of its own."""
        return self.model_dump(mode="json", exclude={"online"})

    def check_evidence(self, utility_method: str, swarm: int, where: str) -> None:
        """ValueError, beginning with `where`, where the method is a law and there is no swarm to fit it to."""
        if self.method == "law" and not (utility_method == "ablation" and swarm > 0):
            raise ValueError(
                f"{where}: method 'law' is fitted to a swarm of proxies, but the utility is by {utility_method!r} and "
                f"utility.ablation.swarm={swarm}; allowed: utility 'ablation' with a swarm above 0"
            )
