"""Weights chosen by hand, which nothing moves: one that breaks the cap is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator

from tasks.mixture.mixture_method import MixtureMethod, Question
from tasks.mixture.settings import MixtureSettings
from tasks.training.token_plans import (
    capacity,
    check_budget,
    check_cap,
    check_names,
    check_sizes,
    upper_bounds,
)

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture


class ManualMixture(MixtureSettings):
    """Settings of the method manual."""

    method: Literal["manual"] = "manual"
    manual: dict[str, float] = Field(
        default={},
        validate_default=True,
        description="Weight of every source by name; they are divided by their sum.",
    )

    @field_validator("manual")
    @classmethod
    def _weights_are_weights(cls, manual: dict[str, float]) -> dict[str, float]:
        wrong = {name: weight for name, weight in manual.items() if not 0 <= weight < float("inf")}
        if wrong:
            raise ValueError(f"weights must be finite and at least 0, not {wrong}")
        if manual and not sum(manual.values()) > 0:
            raise ValueError("one weight at least must be above 0")
        if not manual:
            raise ValueError(
                f"method='manual' with manual={manual}: the method 'manual' needs a weight for every source under "
                "`manual`, and the other methods take none"
            )
        return manual


def manual(
    weights: Mapping[str, float], tokens: Mapping[str, int], budget: int, epoch_cap: float = math.inf
) -> Mixture:
    """Weights by hand, divided by their sum; one for every source. No cap unless given.

    Raises ValueError naming sources without a weight, weights without a source, and a source whose weight
    breaks the cap: weights chosen by hand are never moved.
    """
    return _solved(Question(tokens, budget), epoch_cap, weights)


def _solved(question: Question, epoch_cap: float, weights: Mapping[str, float]) -> Mixture:
    from tasks.mixture.mixture import planned

    sizes = check_sizes(question.tokens)
    budget, epoch_cap = check_budget(question.budget), check_cap(epoch_cap)
    limit = capacity(sizes, budget, epoch_cap, question.used)
    check_names("manual", weights, sizes)
    w = np.array([float(weights[name]) for name in sizes])
    if not (np.isfinite(w).all() and w.min() >= 0 and w.sum() > 0):
        raise ValueError(f"manual={dict(weights)}: weights must be finite, at least 0 and not all 0")
    w = w / w.sum()
    for name, share, bound in zip(sizes, w, upper_bounds(sizes, limit, budget), strict=True):
        if math.floor(share * budget) > limit[name]:
            raise ValueError(
                f"manual: weight {share:.4g} of {name!r} is {share * budget:,.0f} of {budget:,} tokens, but "
                f"epoch_cap={epoch_cap:g} leaves {limit[name]:,}; its weight can be at most {bound:.4g}"
            )
    facts = {"method": "manual", "epoch_cap": None if math.isinf(epoch_cap) else epoch_cap}
    return planned(w, sizes, budget, limit, question.used, facts)


METHOD = MixtureMethod(
    settings=ManualMixture,
    title="manual",
    line="weights chosen by hand",
    equation="w as given, divided by its sum",
    evidence="weights",
    solve=lambda settings, question: _solved(question, settings.epoch_cap, settings.manual),
)
