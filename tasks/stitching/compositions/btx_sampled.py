"""Branch-Train-MiX with sampled routing: one feed-forward block a token, all else averaged (arXiv 2403.07816)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tasks.stitching.compositions.composition import Composition, TrainedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class BtxSampledSettings(TrainedSettings):
    """Which layers sample, and how."""

    method: Literal["btx-sampled"] = "btx-sampled"
    temperature: float = Field(
        1.0, gt=0, le=1000, description="Of the Gumbel-softmax that samples while training."
    )
    soft_layers: int = Field(
        1, ge=0, le=1024, description="So many first layers mix all blocks, as btx-soft does."
    )


def build(settings: BtxSampledSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.combined.upcycled import UpcycledForCausalLM

    _check_is_dense(seed_model.config)
    return UpcycledForCausalLM.from_models(seed_model, experts, **_options(settings))


def configuration(
    settings: BtxSampledSettings, base_config: PreTrainedConfig, names: Sequence[str]
) -> PreTrainedConfig:
    from models.combined.combined_config import UpcycledConfig

    _check_is_dense(base_config)
    return UpcycledConfig(base_config=base_config, expert_names=list(names), **_options(settings))


def _check_is_dense(base_config: PreTrainedConfig) -> None:
    if getattr(base_config, "num_experts", None):
        raise ValueError(
            f"btx-sampled of {base_config.model_type} models: the members' own routers would see but the tokens that "
            "were drawn for them, while balance loss and capacity are of whole batches; allowed: dense models; btx-soft"
        )


def _options(settings: BtxSampledSettings) -> dict[str, Any]:
    return {
        "routing": "sampled",
        "temperature": settings.temperature,
        "soft_layers": settings.soft_layers,
    }


COMPOSITION = Composition(
    settings=BtxSampledSettings,
    title="BTX, sampled",
    line="one feed-forward block a token, all other weights averaged",
    paper="Sukhbaatar et al. 2024, Branch-Train-MiX, arXiv 2403.07816",
    equation="y = FFN_i(x), i = argmax(W x + Gumbel noise); in evaluation without noise",
    trains="all weights",
    build=build,
    configuration=configuration,
)
