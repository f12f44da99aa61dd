"""The method ngram: see `ngram_utility`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.utility.utility_method import Given, UtilityMethod

if TYPE_CHECKING:
    from tasks.utility.matrix import UtilityMatrix


class NgramSettings(BaseModel):
    """Utility from hashed n-grams: no model, no network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bucket_bits: int = Field(18, ge=10, le=24, description="n-grams are hashed into 2^bucket_bits buckets.")
    smoothing: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Share of the background in a task's distribution: an n-gram that the task never has "
        "counts as so much rarer than in the background.",
    )
    groups: int = Field(
        10,
        ge=2,
        le=100,
        description="Groups of a task's items for the jackknife error; one is left out at a time.",
    )
    scale: Literal["minmax", "items", "none"] = Field(
        "minmax",
        description="minmax: each task's best source gets 1, its worst 0. items: 0 where nothing is shared "
        "with the task, 1 where a document is as likely as the task's own items. none: a probability.",
    )


def _estimate(settings: NgramSettings, given: Given) -> UtilityMatrix:
    from tasks.utility.methods.ngram_utility import ngram_utility

    return ngram_utility(given.samples, given.dev, settings)


METHOD = UtilityMethod(
    name="ngram",
    title="n-grams",
    line="whether a source's hashed n-grams are those of the task's dev items",
    paper="after Xie et al. 2023, arXiv 2302.03169",
    equation="U_ij = mean over documents of r / (1 + r), r = exp(mean log p_task / q)",
    section=NgramSettings,
    default=NgramSettings(),
    describes="Settings of the method ngram.",
    estimate=_estimate,
)
