"""Weights that are no numbers are refused where a model enters: nothing that comes of them means anything."""

from __future__ import annotations

import torch


@torch.no_grad()
def check_finite(model: torch.nn.Module, name: str) -> None:
    """Raises ValueError naming the model and its first weight that holds NaN or an infinity."""
    wrong = [(weight, tensor) for weight, tensor in model.named_parameters() if not _is_finite(tensor)]
    if wrong:
        weight, tensor = wrong[0]
        count = int((~torch.isfinite(tensor)).sum())
        more = f"; so do {len(wrong) - 1} more weights" if len(wrong) > 1 else ""
        raise ValueError(
            f"model {name!r}: weight {weight!r} holds {count:,} of {tensor.numel():,} values that are NaN or infinite"
            f"{more}; allowed: finite weights"
        )


def _is_finite(tensor: torch.Tensor) -> bool:
    """True of what has no values yet; a sum is finite only where all of it is, unless it overflows."""
    if tensor.is_meta or not tensor.is_floating_point():
        return True
    return bool(torch.isfinite(tensor.sum(dtype=torch.float32))) or bool(torch.isfinite(tensor).all())
