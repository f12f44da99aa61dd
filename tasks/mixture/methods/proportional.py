"""Weights in proportion to the tokens, so the same epochs everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from tasks.mixture.mixture_method import MixtureMethod, Question, filled
from tasks.mixture.settings import MixtureSettings

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture


class ProportionalMixture(MixtureSettings):
    """Settings of the method proportional."""

    method: Literal["proportional"] = "proportional"


def proportional(tokens: Mapping[str, int], budget: int, epoch_cap: float = math.inf) -> Mixture:
    """Weights in proportion to the tokens, so the same epochs everywhere. No cap unless given."""
    return _solved(Question(tokens, budget), epoch_cap)


def _solved(question: Question, epoch_cap: float) -> Mixture:
    return filled("proportional", lambda sizes: np.array(list(sizes.values()), float), question, epoch_cap)


METHOD = MixtureMethod(
    settings=ProportionalMixture,
    title="proportional",
    line="weights in proportion to tokens: the same epochs everywhere",
    equation="w_i ~ |D_i|",
    evidence="none",
    solve=lambda settings, question: _solved(question, settings.epoch_cap),
)
