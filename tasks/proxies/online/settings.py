"""Settings of the mixtures that are learnt while a proxy trains."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from tasks.method import by_name, listed
from tasks.proxies.ablation.settings import AblationSettings
from tasks.proxies.online import doremi, odm, skill_it
from tasks.proxies.online.online_rule import OnlineRule
from tasks.training.settings import ProxyModel

RULES: tuple[OnlineRule, ...] = listed({"doremi": doremi, "odm": odm, "skill_it": skill_it}, "RULE")
RULES_BY_NAME = by_name(RULES)


class _OnlineSettings(BaseModel):
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

    def own(self, rule: OnlineRule) -> Any:
        """The rule's own settings."""
        return getattr(self, rule.section)

    def trained_tokens(self, rule: OnlineRule, num_sources: int) -> int:
        """Tokens that all proxies of the rule train on."""
        return round(self.tokens * rule.runs(self.own(rule), num_sources))

    def check(self, rule: OnlineRule) -> None:
        """ValueError where a section is set that the rule has no use for."""
        for other in RULES:
            if other is not rule and self.own(other) != other.settings:
                raise ValueError(
                    f"online.{other.section} is set, but the method is {rule.name!r}; allowed: online.{rule.section}"
                )

    def identity(self, rule: OnlineRule) -> dict[str, Any]:
        """What of the settings decides the weights that the rule learns."""
        told = self.model_dump(mode="json", include={"tokens", "model", rule.section})
        told["model"].pop("pretrained")
        return told


OnlineSettings = create_model(
    "OnlineSettings",
    __base__=_OnlineSettings,
    __doc__=_OnlineSettings.__doc__,
    **{  # type: ignore[call-overload]
        rule.section: (
            type(rule.settings),
            Field(rule.settings, description=f"Settings of the method {rule.name}."),
        )
        for rule in RULES
    },
)
