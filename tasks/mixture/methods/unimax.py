"""UniMax (Chung et al. 2023, arXiv 2304.09151): visit the sources from the smallest on, give each an equal part of
what is left, but no more than its cap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from tasks.mixture.mixture_method import MixtureMethod, Question, filled
from tasks.mixture.settings import MixtureSettings

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture


class UnimaxMixture(MixtureSettings):
    """Settings of the method unimax."""

    method: Literal["unimax"] = "unimax"


def unimax(tokens: Mapping[str, int], budget: int, epoch_cap: float) -> Mixture:
    """As even as the epoch cap allows. tokens: tokens a source holds.

    Raises ValueError where the cap does not allow the budget, naming the largest that it does.
    """
    return _solved(Question(tokens, budget), epoch_cap)


def _solved(question: Question, epoch_cap: float) -> Mixture:
    return filled("unimax", lambda sizes: np.ones(len(sizes)), question, epoch_cap)


METHOD = MixtureMethod(
    settings=UnimaxMixture,
    title="UniMax",
    line="as even as the epoch cap allows",
    paper="Chung et al. 2023, arXiv 2304.09151, algorithm 1",
    equation="w_i = min(cap |D_i| / budget, equal part of what is left)",
    evidence="none",
    solve=lambda settings, question: _solved(question, settings.epoch_cap),
)
