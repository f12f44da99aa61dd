"""Buckets: a source's tokens times a multiplier, by hand, of its language or name; XGLM's languages are a preset.

XGLM (Lin et al. 2022, arXiv 2112.10668) is said to smooth by alpha, but its model card's shares are those of four
buckets: x1, x2, x10 and x100 of what there is. The card departs from them for zh (x0.9) and my (x73).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from tasks.mixture.mixture_method import MixtureMethod, Question, filled
from tasks.mixture.settings import MixtureSettings
from tasks.sources.language_codes import checked_code, code_of

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture

_XGLM = {
    1: "en ru zh de es fr ja it",
    2: "pt el id tr ar vi",
    10: "ko fi th bg ca hi et bn ta ur sw te",
    100: "eu ht my qu",
}
PRESETS: dict[str, dict[str, float]] = {
    "xglm": {code: float(times) for times, codes in _XGLM.items() for code in codes.split()}
}


class BucketsMixture(MixtureSettings):
    """Settings of the method buckets."""

    method: Literal["buckets"] = "buckets"
    preset: Literal["xglm"] | None = Field(
        None, description="Multipliers of languages: xglm is x1, x2, x10 and x100 for XGLM's 30."
    )
    multipliers: dict[str, float] = Field(
        default={},
        description="Multiplier by name of a source, or else by its language; these come before the preset's.",
    )
    others: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Multiplier of sources that nothing names; empty: there may be none.",
    )
    languages: dict[str, str] = Field(
        default={},
        description="Language of each source; empty: as `sources` says, else the source's name where that is a code.",
    )

    @field_validator("multipliers")
    @classmethod
    def _are_above_zero(cls, multipliers: dict[str, float]) -> dict[str, float]:
        wrong = {name: times for name, times in multipliers.items() if not 0 < times < math.inf}
        if wrong:
            raise ValueError(f"multipliers must be finite and above 0, not {wrong}")
        return multipliers

    @field_validator("languages")
    @classmethod
    def _are_languages(cls, languages: dict[str, str]) -> dict[str, str]:
        return {name: checked_code(code, f"languages: {name!r}") for name, code in languages.items()}

    @model_validator(mode="after")
    def _something_multiplies(self) -> Self:
        if self.preset is None and not self.multipliers:
            raise ValueError(
                "the method 'buckets' needs a preset (xglm), or multipliers by source or language, or both"
            )
        return self

    def with_languages(self, languages: Mapping[str, str]) -> Self:
        return self.model_copy(update={"languages": {**languages, **self.languages}})


def multipliers_of(settings: BucketsMixture, sources: list[str]) -> dict[str, float]:
    """Source -> multiplier. ValueError for sources that nothing names, and names that no source or language has."""
    languages = {name: settings.languages.get(name) or code_of(name) or "" for name in sources}
    known = {*sources, *languages.values()}
    if unused := [name for name in settings.multipliers if name not in known and code_of(name) not in known]:
        raise ValueError(
            f"buckets: multipliers of {', '.join(unused)}: no source and no source's language; allowed: "
            f"{', '.join(sorted(known - {''}))}"
        )
    by_language = PRESETS.get(settings.preset or "", {}) | {
        code_of(name) or name: times for name, times in settings.multipliers.items()
    }
    found = {
        name: settings.multipliers.get(name, by_language.get(languages[name], settings.others))
        for name in sources
    }
    if missing := [f"{name} ({languages[name] or 'no language'})" for name in sources if found[name] is None]:
        raise ValueError(
            f"buckets: no multiplier for {', '.join(missing)}; allowed: name the source or its language in "
            "`multipliers`, or give the rest one with `others`"
        )
    return {name: float(times) for name, times in found.items() if times is not None}


def buckets(tokens: Mapping[str, int], budget: int, epoch_cap: float = math.inf, **given: object) -> Mixture:
    """Weights in proportion to tokens times a multiplier. No cap unless given. given: settings of the method."""
    return _solved(BucketsMixture.model_validate(given), Question(tokens, budget), epoch_cap)


def _solved(settings: BucketsMixture, question: Question, epoch_cap: float) -> Mixture:
    times = multipliers_of(settings, list(question.tokens))
    return filled(
        "buckets",
        lambda sizes: np.array([size * times[name] for name, size in sizes.items()], float),
        question,
        epoch_cap,
        multipliers=times,
    )


METHOD = MixtureMethod(
    settings=BucketsMixture,
    title="buckets",
    line="weights in proportion to tokens times a multiplier of the source or its language; a preset for XGLM's",
    paper="Lin et al. 2022, arXiv 2112.10668, model card",
    equation="w_i ~ m_i |D_i|",
    evidence="none",
    needs_settings=True,
    solve=lambda settings, question: _solved(settings, question, settings.epoch_cap),
)
