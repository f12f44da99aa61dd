"""Routing token by token to one of several whole models, by the text so far (ours, after arXiv 2502.00075)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tasks.stitching.compositions.composition import Composition, TrainedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class TokenRoutingSettings(TrainedSettings):
    """How the router trains."""

    method: Literal["token-routing"] = "token-routing"


def build(settings: TokenRoutingSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.combined.routed import RoutedForCausalLM

    return RoutedForCausalLM.from_models(seed_model, experts)


def configuration(
    settings: TokenRoutingSettings, base_config: PreTrainedConfig, names: Sequence[str]
) -> PreTrainedConfig:
    from models.combined.combined_config import RoutedConfig

    return RoutedConfig(base_config=base_config, expert_names=list(names))


COMPOSITION = Composition(
    settings=TokenRoutingSettings,
    title="token routing",
    line="one whole model predicts each token, picked anew by the text so far",
    paper="ours, after 'expert routing' of Zhang et al. 2025, Branch-Train-Stitch, arXiv 2502.00075",
    equation="D_t = argmax W (e_0 + ... + e_t) / (t + 1), e the seed's token embeddings",
    trains="the router",
    own_loss=True,
    build=build,
    configuration=configuration,
)
