"""Temperature sampling: weight ~ tokens ^ alpha, between uniform (0) and proportional (1).

Alpha is .3 for the languages of XLM-R (Conneau et al. 2020, arXiv 1911.02116); 1 / alpha is what multilingual
translation calls the temperature (Arivazhagan et al. 2019, arXiv 1907.05019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from tasks.mixture.mixture_method import MixtureMethod, Question, filled
from tasks.mixture.settings import MixtureSettings

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture


class TemperatureMixture(MixtureSettings):
    """Settings of the method temperature."""

    method: Literal["temperature"] = "temperature"
    alpha: float = Field(
        0.3, ge=0, le=1, description="Exponent of the tokens: 0 is uniform, 1 proportional; .3 in XLM-R."
    )


def temperature(
    tokens: Mapping[str, int], budget: int, epoch_cap: float = math.inf, alpha: float = 0.3
) -> Mixture:
    """Weights in proportion to tokens ^ alpha. No cap unless given."""
    return _solved(Question(tokens, budget), epoch_cap, alpha)


def _solved(question: Question, epoch_cap: float, alpha: float) -> Mixture:
    return filled(
        "temperature",
        lambda sizes: np.array(list(sizes.values()), float) ** alpha,
        question,
        epoch_cap,
        alpha=alpha,
    )


METHOD = MixtureMethod(
    settings=TemperatureMixture,
    title="temperature",
    line="weights in proportion to tokens to the power of alpha, between uniform and proportional",
    paper="Conneau et al. 2020, arXiv 1911.02116",
    equation="w_i ~ |D_i|^alpha",
    evidence="none",
    solve=lambda settings, question: _solved(question, settings.epoch_cap, settings.alpha),
)
