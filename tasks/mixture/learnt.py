"""What the methods share whose weights are learnt while proxies train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from tasks.mixture.mixture_method import Question
from tasks.mixture.settings import MixtureSettings
from tasks.proxies.online.settings import OnlineSettings

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture


class LearntMixture(MixtureSettings):
    """A method with proxies of its own."""

    online: OnlineSettings = Field(
        OnlineSettings(), description="The proxies, and the rule that they learn by."
    )

    @model_validator(mode="after")
    def _own_rule_alone(self) -> LearntMixture:
        self.online.check(self.method)
        return self


def solve_learnt(settings: LearntMixture, question: Question) -> Mixture:
    """The learnt weights under the cap."""
    from tasks.mixture.found_weights import learnt_mixture

    return learnt_mixture(
        settings.method, question.found, question.tokens, question.budget, settings.epoch_cap, question.used
    )
