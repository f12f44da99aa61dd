"""Settings of the mixtures that are learnt while a proxy trains."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.proxies.ablation.settings import AblationSettings
from tasks.training.settings import ProxyModel

OnlineMethod = Literal["doremi", "odm", "skill-it"]
Base = Literal["proportional", "uniform"]


class DoremiSettings(BaseModel):
    """DoReMi (arXiv 2305.10429)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Base = Field(
        "proportional", description="Mixture that the reference proxy is trained on; excess is over its loss."
    )
    eta: float = Field(1.0, gt=0, le=1000, description="Step size of the weights; 1 in the paper.")
    smoothing: float = Field(
        1e-3,
        ge=0,
        lt=1,
        description="Share of the uniform mixture in every step's weights; 1e-3 in the paper.",
    )


class OdmSettings(BaseModel):
    """ODM (arXiv 2312.02406). The exploration rate is the paper's and no setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warmup: Base = Field("proportional", description="Mixture that the warm-up draws from.")
    warmup_share: float = Field(
        0.01, ge=0, lt=1, description="Share of the steps, rounded up, before the bandit chooses."
    )
    average: float = Field(
        0.9, ge=0, lt=1, description="Share of a source's earlier rewards in their moving average."
    )


class SkillItSettings(BaseModel):
    """Skill-it (arXiv 2307.14430)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    eta: float = Field(0.2, gt=0, le=1000, description="Step size of the weights.")
    rounds: int = Field(5, ge=1, le=1000, description="Rounds; the mixture is chosen anew in each.")
    window: int = Field(3, ge=1, le=1000, description="Latest rounds whose losses count.")
    graph_share: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Share of the tokens that the proxy of each source trains on for the graph.",
    )
    validation_sequences: int = Field(
        16,
        ge=1,
        le=10_000,
        description="Sequences of a source that no proxy trains on and its loss is measured on, at most a tenth.",
    )


class OnlineSettings(BaseModel):
    """Proxies that train while their mixture is learnt, in this process alone, with the settings under `training`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int = Field(
        200_000,
        gt=0,
        description="Tokens that the proxy trains on; DoReMi's reference as many again, Skill-it's graph on top.",
    )
    model: ProxyModel = Field(
        AblationSettings().model,
        description="Architecture of the proxies; they start from new weights. As large as those of ablation.",
    )
    doremi: DoremiSettings = Field(DoremiSettings(), description="Settings of the method doremi.")
    odm: OdmSettings = Field(OdmSettings(), description="Settings of the method odm.")
    skill_it: SkillItSettings = Field(SkillItSettings(), description="Settings of the method skill-it.")

    def check(self, method: str) -> None:
        """ValueError where something is set that `method` has no use for."""
        for field, value in self:
            if value == type(self).model_fields[field].default:
                continue
            if method not in ("doremi", "odm", "skill-it"):
                raise ValueError(
                    f"online.{field} is set, but method {method!r} learns nothing online; allowed: with 'doremi', "
                    "'odm' and 'skill-it'"
                )
            own = field_of(method)
            if field in ("doremi", "odm", "skill_it") and field != own:
                raise ValueError(
                    f"online.{field} is set, but the method is {method!r}; allowed: online.{own}"
                )

    def identity(self, method: OnlineMethod) -> dict[str, Any]:
        """What of the settings decides the weights that `method` learns."""
        told = self.model_dump(mode="json", include={"tokens", "model", field_of(method)})
        told["model"].pop("pretrained")
        return told


def field_of(method: str) -> str:
    """Name of the method's own settings."""
    return method.replace("-", "_")
