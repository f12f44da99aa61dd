"""The soup: the uniform mean of the seed's and all experts' weights (arXiv 2203.05482)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tasks.stitching.compositions.composition import Composition, CompositionSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class SoupSettings(CompositionSettings):
    """The soup has no options."""

    method: Literal["soup"] = "soup"


def build(settings: SoupSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.averaging import uniform_soup
    from models.combined.members import check_members

    check_members(seed_model, experts)
    return uniform_soup([seed_model, *experts.values()])


COMPOSITION = Composition(
    settings=SoupSettings,
    title="soup",
    line="uniform mean of all weights",
    paper="Wortsman et al. 2022, model soups, arXiv 2203.05482",
    equation="theta = (theta_seed + sum_i theta_i) / (n + 1)",
    build=build,
)
