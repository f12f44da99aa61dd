"""OLMo: weight ~ tokens * passes, each kind of data sampled down or up by hand.

In Dolma 1.7, the mix of OLMo 1.7 7B (the table "Sample Proportion" of its dataset card, April 2024), Common Crawl
and C4 have 50%, Wikipedia and Wikibooks 200%, all others 100%. Passes that are not given follow from the words of a
source's NAME: .5 for web, cc, commoncrawl, crawl, c4; 2 for what begins with wiki or encyclop; else 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator

from tasks.mixture.mixture_method import MixtureMethod, Question, filled
from tasks.mixture.settings import MixtureSettings
from tasks.training.token_plans import check_names, check_sizes

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture

CRAWLS, CRAWL_PASSES = ("web", "cc", "commoncrawl", "crawl", "c4"), 0.5
ENCYCLOPEDIAS, ENCYCLOPEDIA_PASSES = ("wiki", "encyclop"), 2.0


class OlmoMixture(MixtureSettings):
    """Settings of the method olmo."""

    method: Literal["olmo"] = "olmo"
    passes: dict[str, float] = Field(
        default={},
        description="Passes over a source by name: weight ~ tokens * passes. What is not named: 0.5 if its name has "
        "the word web, cc, commoncrawl, crawl or c4; 2 if one begins with wiki or encyclop; else 1, as in Dolma 1.7.",
    )

    @field_validator("passes")
    @classmethod
    def _passes_are_above_0(cls, passes: dict[str, float]) -> dict[str, float]:
        return _checked(passes)


def olmo(
    tokens: Mapping[str, int],
    budget: int,
    epoch_cap: float = math.inf,
    passes: Mapping[str, float] | None = None,
) -> Mixture:
    """Weights in proportion to tokens times passes. No cap unless given.

    passes: of sources by name, above 0; those of the others follow from their names. The certificate holds all
    of them and which were guessed. Raises ValueError for passes of what is no source.
    """
    return _solved(Question(tokens, budget), epoch_cap, dict(passes or {}))


def _solved(question: Question, epoch_cap: float, passes: dict[str, float]) -> Mixture:
    names = check_sizes(question.tokens)
    check_names("passes", passes, names, all_needed=False)
    _checked(passes)
    every = {name: float(passes[name]) if name in passes else passes_by_name(name) for name in names}
    return filled(
        "olmo",
        lambda sizes: np.array([size * every[name] for name, size in sizes.items()], float),
        question,
        epoch_cap,
        passes=every,
        passes_by_name=sorted(set(names) - set(passes)),
    )


def passes_by_name(source: str) -> float:
    """Passes over a source of this name in OLMo's mix: see above."""
    words = re.split(r"[^a-z0-9]+", source.lower())
    if any(word.startswith(ENCYCLOPEDIAS) for word in words):
        return ENCYCLOPEDIA_PASSES
    return CRAWL_PASSES if any(word in CRAWLS for word in words) else 1.0


def _checked(passes: dict[str, float]) -> dict[str, float]:
    wrong = {name: count for name, count in passes.items() if not (math.isfinite(count) and count > 0)}
    if wrong:
        raise ValueError(f"passes={wrong}: must be finite and above 0")
    return passes


METHOD = MixtureMethod(
    settings=OlmoMixture,
    title="OLMo",
    line="tokens times passes chosen by hand or by the source's name, as in Dolma 1.7",
    paper="Dolma 1.7's dataset card, April 2024, table Sample Proportion",
    equation="w_i ~ passes_i |D_i|",
    evidence="none",
    solve=lambda settings, question: _solved(question, settings.epoch_cap, settings.passes),
)
