"""A top-2 mixture of experts from a dense seed, or from it and its experts, BTX's way; gates as of family `moe`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tasks.stitching.compositions.composition import Composition, TrainedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from models.families.moe import Sparsity
    from tasks.stitching.compositions.composition import Experts


class UpcycleSettings(TrainedSettings):
    """Whose feed-forward blocks the experts start as, and how they are trained."""

    method: Literal["upcycle"] = "upcycle"
    members: Literal["all", "seed"] = Field(
        "all",
        description="all: experts of a layer are the blocks of the seed and of its experts in turn, all other weights "
        "averaged, as Branch-Train-MiX does. seed: all are copies of the seed's.",
    )
    copies: int = Field(1, ge=1, le=1024, description="Experts of a layer from each member.")
    top_k: int = Field(2, ge=1, description="Experts that a token goes through.")
    sparse_step: int = Field(
        2, ge=1, description="Every so many layers one has experts, the last of each group."
    )
    capacity_factor: float | None = Field(
        2.0, gt=0, allow_inf_nan=False, description="As of model.capacity_factor of the family moe."
    )
    balance_weight: float = Field(
        0.01, ge=0, allow_inf_nan=False, description="As of model.balance_weight of the family moe."
    )
    random_seed: int = Field(0, ge=0, lt=2**31, description="Of the routers, which are new.")

    def sparsity(self, num_experts: int) -> Sparsity:
        """num_experts: that the run has, beside the seed."""
        import models

        members = 1 if self.members == "seed" else 1 + num_experts
        return models.Sparsity(
            members * self.copies, self.top_k, self.sparse_step, self.capacity_factor, self.balance_weight
        )


def build(settings: UpcycleSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    import models
    from models.combined.members import check_members

    check_members(seed_model, experts)
    members = [seed_model, *(experts.values() if settings.members == "all" else ())]
    return models.upcycle(members, settings.sparsity(len(experts)), settings.random_seed)


def configuration(settings: UpcycleSettings, base_config: PreTrainedConfig, names: Sequence[str]) -> Any:
    import models

    return models.upcycled_config(base_config, settings.sparsity(len(names)))


COMPOSITION = Composition(
    settings=UpcycleSettings,
    title="upcycled",
    line="a top-2 mixture of the members' feed-forward blocks in every second layer; of a dense qwen3 seed",
    paper="Komatsuzaki et al. 2022, arXiv 2212.05055; gates of Artetxe et al. 2021, arXiv 2112.10684",
    equation="y = sum of g_e(x) FFN_e(x) over the top-2 e, g normalised",
    trains="all weights",
    build=build,
    configuration=configuration,
)
