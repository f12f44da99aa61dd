"""DARE: weight changes dropped at random, what is left scaled up and summed (arXiv 2311.03099)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tasks.stitching.compositions.composition import Composition, MergeSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class DareLinearSettings(MergeSettings):
    """How the experts' changes are thinned out and weighed."""

    method: Literal["dare-linear"] = "dare-linear"
    random_seed: int = Field(0, ge=0, lt=2**31, description="Which changes are dropped.")


def build(settings: DareLinearSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.merging import mergekit_merge

    return mergekit_merge(
        "dare_linear",
        seed_model,
        experts,
        settings.density,
        settings.weight,
        settings.random_seed,
    )


COMPOSITION = Composition(
    settings=DareLinearSettings,
    title="DARE",
    line="random weight changes, scaled up and summed",
    paper="Yu et al. 2023, arXiv 2311.03099",
    equation="theta = theta_seed + sum_i w_i m_i * (theta_i - theta_seed) / density, m_i ~ Bernoulli(density)",
    build=build,
)
