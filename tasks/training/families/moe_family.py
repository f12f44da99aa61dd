"""Mixtures of experts: Qwen3-MoE, top-2 of the experts in every second layer (arXiv 2112.10684)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from tasks.training.families.family import Family
from tasks.training.families.qwen3_family import Qwen3Model
from tasks.training.settings import ModelSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from models.families.moe import Sparsity


class MoeModel(ModelSettings):
    """How many experts, where, and how they are trained."""

    family: Literal["moe"] = Field(  # type: ignore[assignment]
        "moe", description="Which architecture new weights are of."
    )
    num_experts: int = Field(
        8, ge=2, le=1024, description="Experts E of a layer that has them; 512 in the paper."
    )
    top_k: int = Field(2, ge=1, description="Experts that a token goes through.")
    sparse_step: int = Field(
        2, ge=1, description="Every so many layers one has experts, the last of each group."
    )
    capacity_factor: float | None = Field(
        2.0,
        gt=0,
        allow_inf_nan=False,
        description="While training an expert takes this times ceil(S/E) of S tokens of a forward pass; choices beyond "
        "are dropped, second ones first. Empty: none are. In evaluation none are either way.",
    )
    balance_weight: float = Field(
        0.01,
        ge=0,
        allow_inf_nan=False,
        description="Weight of the balance loss, E sum m_e c_e a layer over first choices, 1 where routing is uniform.",
    )
    upcycle: bool = Field(
        False,
        description="Whether `pretrained` is a dense Qwen3 model to start from, whose feed-forward block becomes each "
        "expert of a layer; its sizes are taken.",
    )

    @model_validator(mode="after")
    def _experts_fit(self) -> MoeModel:
        if self.top_k > self.num_experts:
            raise ValueError(
                f"num_experts={self.num_experts} is fewer than top_k={self.top_k}; allowed: as many at least"
            )
        if self.upcycle != (self.pretrained is not None):
            raise ValueError(
                f"upcycle={str(self.upcycle).lower()} with "
                + (f"pretrained={self.pretrained!r}" if self.pretrained else "no `pretrained`")
                + "; allowed: a dense Qwen3 model in `pretrained` with upcycle=true, or neither; a model that has "
                "experts already needs no family"
            )
        if self.pretrained is None and self.sparse_step > self.num_layers:
            raise ValueError(
                f"sparse_step={self.sparse_step} leaves none of num_layers={self.num_layers} with experts; allowed: "
                f"1 to {self.num_layers}"
            )
        return self

    @property
    def sparsity(self) -> Sparsity:
        import models

        return models.Sparsity(
            self.num_experts, self.top_k, self.sparse_step, self.capacity_factor, self.balance_weight
        )


def dense_twin(model: ModelSettings) -> Qwen3Model:
    """The dense model that is like a mixture of experts in all else. ValueError for another family, or `pretrained`."""
    if not isinstance(model, MoeModel) or model.pretrained is not None:
        raise ValueError(
            f"model.family={model.family!r}{' with pretrained' if model.pretrained else ''}: no dense model to compare "
            "it with; allowed: model.family=moe, from new weights"
        )
    shared = ModelSettings.model_fields.keys() - {"family"}
    return Qwen3Model(**{name: getattr(model, name) for name in shared})


def _configuration(settings: MoeModel, sizes: dict[str, Any]) -> PretrainedConfig:
    import models

    return models.moe_config(settings.sparsity, **sizes)


def _upcycled(settings: MoeModel, dense: PretrainedConfig) -> PretrainedConfig:
    import models

    return models.upcycled_config(dense, settings.sparsity)


FAMILY = Family(
    settings=MoeModel,
    title="mixture of experts",
    line="Qwen3-MoE: every second layer has experts, a token goes through two of them",
    paper="Artetxe et al. 2021, arXiv 2112.10684",
    equation="y = sum of g_e(x) FFN_e(x) over the top-2 e, g normalised; loss + .01 E sum_e m_e c_e a layer",
    configuration=_configuration,
    from_dense=_upcycled,
)
