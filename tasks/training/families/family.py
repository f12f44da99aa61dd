"""What a family of seed models says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.method import Method
from tasks.training.settings import ModelSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    Configuration = Callable[..., PretrainedConfig]


@dataclass(frozen=True, kw_only=True)
class Family(Method):
    """One architecture of seed models.

    configuration: (settings, sizes and tokens as of `models.families.decoder_sizes`) -> transformers configuration.
    It raises ValueError for what does not fit together. The architecture must be one of transformers', so that a
    trained model is a folder that other tools load. from_dense: (settings, configuration of a dense model) -> that of
    a model of this family that starts from its weights; None: where `pretrained` is given, it is taken as it is.
    """

    settings: type[ModelSettings]
    configuration: Callable[[Any, dict[str, Any]], PretrainedConfig]
    from_dense: Callable[[Any, PretrainedConfig], PretrainedConfig] | None = None
