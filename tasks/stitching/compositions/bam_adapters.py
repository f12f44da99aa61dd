"""BAM with adapters: frozen blocks mixed, each through a trained d x d linear (arXiv 2502.00075, equation 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tasks.stitching.compositions.composition import Composition, TrainedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class BamAdaptersSettings(TrainedSettings):
    """How routers and adapters train."""

    method: Literal["bam-adapters"] = "bam-adapters"


def build(settings: BamAdaptersSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.combined.upcycled import UpcycledForCausalLM

    return UpcycledForCausalLM.from_models(seed_model, experts, mixes_attention=True, adapters=True)


def configuration(
    settings: BamAdaptersSettings, base_config: PreTrainedConfig, names: Sequence[str]
) -> PreTrainedConfig:
    from models.combined.combined_config import UpcycledConfig

    return UpcycledConfig(
        base_config=base_config, expert_names=list(names), mixes_attention=True, adapters=True
    )


COMPOSITION = Composition(
    settings=BamAdaptersSettings,
    title="BAM with adapters",
    line="frozen attention and feed-forward blocks mixed, each through a d x d linear",
    paper="Zhang et al. 2024, BAM, arXiv 2408.08274; adapters: arXiv 2502.00075, equation 5",
    equation="y = sum_i softmax(W x)_i A_i Block_i(x), A_i (d, d)",
    trains="routers and linears",
    build=build,
    configuration=configuration,
)
