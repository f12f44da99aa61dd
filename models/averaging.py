"""The uniform mean of several models' weights (model soups, arXiv 2203.05482)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from models.finite import check_finite


@torch.no_grad()
def uniform_soup(models: Sequence[PreTrainedModel]) -> PreTrainedModel:
    """Uniform mean of the weights, theta = (1/M) sum_m theta_m (model soups, arXiv 2203.05482).

    `models` are the seed and its experts, of one architecture. Sums are taken in fp32 (fp64 for fp64 weights)
    and rounded once to the first model's dtype; the result lies on its device, in evaluation mode. Raises
    ValueError naming the first tensor that is missing, of another shape, NaN or infinite.
    """
    if not models:
        raise ValueError("models is empty; allowed: at least one model")
    first, *others = [dict(model.named_parameters()) for model in models]
    for position, other in enumerate(others, start=1):
        _check_same_tensors(first, other, position)
    for position, model in enumerate(models):
        check_finite(model, f"{position} of the soup")
    soup = copy.deepcopy(models[0])
    for name, parameter in soup.named_parameters():
        wide = torch.promote_types(parameter.dtype, torch.float32)
        total = first[name].to(wide, copy=True)
        for other in others:
            total += other[name].to(device=total.device, dtype=wide)
        parameter.copy_(total / len(models))
    return soup.eval()


def _check_same_tensors(first: dict, other: dict, position: int) -> None:
    for name in [*first, *(name for name in other if name not in first)]:
        shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (first, other)]
        if shapes[0] != shapes[1]:
            in_first, in_other = ("missing" if shape is None else shape for shape in shapes)
            raise ValueError(
                f"tensor {name!r} is {in_first} in model 0 and {in_other} in model {position}; a soup needs "
                "models of the same names and shapes"
            )
