"""BAM: attention blocks mixed as well as feed-forward blocks, all else averaged (arXiv 2408.08274)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tasks.stitching.compositions.composition import Composition, TrainedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class BamSettings(TrainedSettings):
    """How routers and blocks train."""

    method: Literal["bam"] = "bam"


def build(settings: BamSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.combined.upcycled import UpcycledForCausalLM

    return UpcycledForCausalLM.from_models(seed_model, experts, mixes_attention=True)


def configuration(
    settings: BamSettings, base_config: PreTrainedConfig, names: Sequence[str]
) -> PreTrainedConfig:
    from models.combined.combined_config import UpcycledConfig

    return UpcycledConfig(base_config=base_config, expert_names=list(names), mixes_attention=True)


COMPOSITION = Composition(
    settings=BamSettings,
    title="BAM",
    line="attention and feed-forward blocks mixed, all other weights averaged",
    paper="Zhang et al. 2024, BAM, arXiv 2408.08274",
    equation="y = sum_i softmax(W x)_i Block_i(x)",
    trains="all weights",
    build=build,
    configuration=configuration,
)
