"""Routing of a text to one of several whole models by its first tokens ('expert routing' of arXiv 2502.00075)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from tasks.stitching.compositions.composition import Composition, TrainedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class RoutingSettings(TrainedSettings):
    """What the router reads, and how it trains."""

    method: Literal["routing"] = "routing"
    prefix_tokens: int = Field(
        32,
        ge=1,
        description="First tokens of a text that decide which model predicts all that follows; of a shorter text, "
        "what there is.",
    )
    longest_prefix: int = Field(
        256,
        ge=1,
        description="While training, the router reads a number of first tokens drawn from prefix_tokens to this, at "
        "most half of the sequence.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> RoutingSettings:
        if self.longest_prefix < self.prefix_tokens:
            raise ValueError(
                f"longest_prefix={self.longest_prefix} is below prefix_tokens={self.prefix_tokens}; allowed: at least "
                "prefix_tokens"
            )
        return self


def build(settings: RoutingSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.combined.routed import RoutedForCausalLM

    return RoutedForCausalLM.from_models(seed_model, experts, **_options(settings))


def configuration(
    settings: RoutingSettings, base_config: PreTrainedConfig, names: Sequence[str]
) -> PreTrainedConfig:
    from models.combined.combined_config import RoutedConfig

    return RoutedConfig(base_config=base_config, expert_names=list(names), **_options(settings))


def _options(settings: RoutingSettings) -> dict[str, Any]:
    return {"prefix_tokens": settings.prefix_tokens, "longest_prefix": settings.longest_prefix}


COMPOSITION = Composition(
    settings=RoutingSettings,
    title="routing",
    line="one whole model predicts all of a text, picked by its first tokens",
    paper="Zhang et al. 2025, Branch-Train-Stitch, arXiv 2502.00075, 'expert routing'",
    equation="D = argmax W (e_1 + ... + e_t) / t, t = prefix_tokens, e the seed's token embeddings",
    trains="the router",
    own_loss=True,
    build=build,
    configuration=configuration,
)
