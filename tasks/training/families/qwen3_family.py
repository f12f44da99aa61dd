"""Qwen3, dense: Llama with queries and keys normalised a head; what `moe` is compared with, and can start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tasks.training.families.family import Family
from tasks.training.settings import ModelSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Qwen3Model(ModelSettings):
    """A dense model that is like `moe` in all but its experts."""

    family: Literal["qwen3"] = Field(  # type: ignore[assignment]
        "qwen3", description="Which architecture new weights are of."
    )


def _configuration(settings: Qwen3Model, sizes: dict[str, Any]) -> PretrainedConfig:
    import models

    return models.qwen3_config(**sizes)


FAMILY = Family(
    settings=Qwen3Model,
    title="Qwen3",
    line="dense, queries and keys normalised a head: moe without experts",
    paper="Yang et al. 2025, arXiv 2505.09388",
    configuration=_configuration,
)
