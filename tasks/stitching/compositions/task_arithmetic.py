"""Task arithmetic: the sum of all experts' weight changes, scaled, on the seed's weights (arXiv 2212.04089)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tasks.stitching.compositions.composition import Composition, CompositionSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tasks.stitching.compositions.composition import Experts


class TaskArithmeticSettings(CompositionSettings):
    """How far to go along the sum of the experts' changes."""

    method: Literal["task-arithmetic"] = "task-arithmetic"
    scale: float | None = Field(
        None, allow_inf_nan=False, description="Factor of the sum of changes; empty: 1/n of n experts."
    )


def build(settings: TaskArithmeticSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    """Sums are taken in fp32 (fp64 for fp64 weights) and rounded once to the seed's dtype, on its device."""
    import torch

    from models.combined.members import check_members

    if not experts:
        raise ValueError("experts is empty; allowed: at least one expert")
    check_members(seed_model, experts)
    scale = 1 / len(experts) if settings.scale is None else settings.scale
    theirs = [dict(expert.named_parameters()) for expert in experts.values()]
    combined = copy.deepcopy(seed_model)
    with torch.no_grad():
        for name, weight in combined.named_parameters():
            wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
            changes = [weights[name].to(device=wide.device, dtype=wide.dtype) - wide for weights in theirs]
            weight.copy_(wide + scale * torch.stack(changes).sum(dim=0))
    return combined.eval()


COMPOSITION = Composition(
    settings=TaskArithmeticSettings,
    title="task arithmetic",
    line="sum of all weight changes, scaled",
    paper="Ilharco et al. 2023, arXiv 2212.04089, section 2",
    equation="theta = theta_seed + scale * sum_i (theta_i - theta_seed)",
    build=build,
)
