"""The mixture methods whose weights are learnt while proxies train: one for every rule that is listed there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, create_model, model_validator

from tasks.mixture.mixture_method import MixtureMethod, Question
from tasks.mixture.settings import MixtureSettings
from tasks.proxies.online.online_rule import OnlineRule
from tasks.proxies.online.settings import RULES, RULES_BY_NAME, OnlineSettings

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture


class LearntMixture(MixtureSettings):
    """A method with proxies of its own."""

    online: OnlineSettings = Field(
        OnlineSettings(), description="The proxies, and the rule that they learn by."
    )

    @model_validator(mode="after")
    def _own_rule_alone(self) -> LearntMixture:
        self.online.check(RULES_BY_NAME[self.method])
        return self


def _solve(settings: LearntMixture, question: Question) -> Mixture:
    from tasks.mixture.found_weights import learnt_mixture

    return learnt_mixture(
        settings.method, question.found, question.tokens, question.budget, settings.epoch_cap, question.used
    )


def _method(rule: OnlineRule) -> MixtureMethod:
    """The learnt weights under the cap."""
    settings = create_model(
        f"{rule.title.replace('-', '').title()}Mixture",
        __base__=LearntMixture,
        __doc__=f"Settings of the method {rule.name}.",
        method=(Literal[rule.name], rule.name),  # type: ignore[arg-type]
    )
    return MixtureMethod(
        settings=settings,
        title=rule.title,
        line=rule.line,
        paper=rule.paper,
        equation=rule.equation,
        evidence="online",
        solve=_solve,
    )


LEARNT: tuple[MixtureMethod, ...] = tuple(_method(rule) for rule in RULES)
