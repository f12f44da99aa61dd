"""Branch-Train-MiX with soft routing: feed-forward blocks mixed, all else averaged (arXiv 2403.07816)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tasks.stitching.compositions.composition import Composition, TrainedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class BtxSoftSettings(TrainedSettings):
    """How routers and blocks train."""

    method: Literal["btx-soft"] = "btx-soft"


def build(settings: BtxSoftSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.combined.upcycled import UpcycledForCausalLM

    return UpcycledForCausalLM.from_models(seed_model, experts)


def configuration(
    settings: BtxSoftSettings, base_config: PreTrainedConfig, names: Sequence[str]
) -> PreTrainedConfig:
    from models.combined.combined_config import UpcycledConfig

    return UpcycledConfig(base_config=base_config, expert_names=list(names))


COMPOSITION = Composition(
    settings=BtxSoftSettings,
    title="BTX, soft",
    line="feed-forward blocks mixed by routers, all other weights averaged",
    paper="Sukhbaatar et al. 2024, Branch-Train-MiX, arXiv 2403.07816",
    equation="y = sum_i softmax(W x)_i FFN_i(x)",
    trains="all weights",
    build=build,
    configuration=configuration,
)
