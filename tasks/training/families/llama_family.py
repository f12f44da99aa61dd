"""Llama 2, the family of a recipe that names none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.training.families.family import Family
from tasks.training.settings import ModelSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def _configuration(settings: ModelSettings, sizes: dict[str, Any]) -> PretrainedConfig:
    import models

    return models.seed_config(**sizes)


FAMILY = Family(
    settings=ModelSettings,
    title="Llama 2",
    line="dense: RMSNorm, rotary positions, SwiGLU",
    paper="Touvron et al. 2023, arXiv 2307.09288",
    configuration=_configuration,
)
