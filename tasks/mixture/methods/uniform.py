"""The same weight for every source; under a cap, the most even weights are UniMax's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from tasks.mixture.mixture_method import MixtureMethod, Question, filled
from tasks.mixture.settings import MixtureSettings

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture


class UniformMixture(MixtureSettings):
    """Settings of the method uniform."""

    method: Literal["uniform"] = "uniform"


def uniform(tokens: Mapping[str, int], budget: int, epoch_cap: float = math.inf) -> Mixture:
    """The same weight for every source. No cap unless given; with one it is the same as `unimax`."""
    return _solved(Question(tokens, budget), epoch_cap)


def _solved(question: Question, epoch_cap: float) -> Mixture:
    return filled("uniform", lambda sizes: np.ones(len(sizes)), question, epoch_cap)


METHOD = MixtureMethod(
    settings=UniformMixture,
    title="uniform",
    line="the same weight for every source",
    equation="w_i ~ 1",
    evidence="none",
    needs_sizes=False,
    solve=lambda settings, question: _solved(question, settings.epoch_cap),
)
