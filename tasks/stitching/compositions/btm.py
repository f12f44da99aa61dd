"""Output ensemble with Bayes weights (Branch-Train-Merge, arXiv 2208.03306)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tasks.stitching.compositions.composition import Composition, CompositionSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class BtmSettings(CompositionSettings):
    """The ensemble has no options: its prior is uniform."""

    method: Literal["btm"] = "btm"


def build(settings: BtmSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    from models.combined.ensemble import EnsembleForCausalLM

    return EnsembleForCausalLM.from_models(seed_model, experts)


def configuration(
    settings: BtmSettings, base_config: PreTrainedConfig, names: Sequence[str]
) -> PreTrainedConfig:
    from models.combined.combined_config import EnsembleConfig

    return EnsembleConfig(base_config=base_config, expert_names=list(names))


COMPOSITION = Composition(
    settings=BtmSettings,
    title="BTM",
    line="Bayes mixture of the models' next-token probabilities",
    paper="Li et al. 2022, Branch-Train-Merge, arXiv 2208.03306, section 2",
    equation="p(x_t | x_<t) = sum_D p(x_t | x_<t, D) p(D | x_<t), p(D | x_<t) ~ p(x_<t | D)",
    build=build,
    configuration=configuration,
)
