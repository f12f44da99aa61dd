"""How many weights a model has, and how many of them a token is computed with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PARAMETERS = ("parameters", "active_parameters")  # metrics of every model


def parameters_of(model: PreTrainedModel) -> dict[str, int]:
    """Metrics `parameters`, all weights, and `active_parameters`, those that a token is computed with."""
    import models

    costs = models.model_costs(model, 1)
    return {"parameters": costs.total, "active_parameters": costs.active}


def said_parameters(metrics: Mapping[str, int]) -> str:
    """Both in words, or one where a token meets all weights."""
    total, active = (metrics[name] for name in PARAMETERS)
    return f"{total:,} parameters" + ("" if active == total else f" ({active:,} active)")
