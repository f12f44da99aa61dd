"""Routing to one of several whole models by the text so far ('expert routing' of arXiv 2502.00075)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tasks.stitching.compositions.composition import Composition, TrainedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class RoutingSettings(TrainedSettings):
    """How the router trains."""

    method: Literal["routing"] = "routing"


def build(settings: RoutingSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.combined.routed import RoutedForCausalLM

    return RoutedForCausalLM.from_models(seed_model, experts)


def configuration(
    settings: RoutingSettings, base_config: PreTrainedConfig, names: Sequence[str]
) -> PreTrainedConfig:
    from models.combined.combined_config import RoutedConfig

    return RoutedConfig(base_config=base_config, expert_names=list(names))


COMPOSITION = Composition(
    settings=RoutingSettings,
    title="routing",
    line="one whole model predicts each token, picked by the text so far",
    paper="Zhang et al. 2025, Branch-Train-Stitch, arXiv 2502.00075, 'expert routing'",
    equation="D_t = argmax W (e_0 + ... + e_t) / (t + 1), e the seed's token embeddings",
    trains="the router",
    build=build,
    configuration=configuration,
)
