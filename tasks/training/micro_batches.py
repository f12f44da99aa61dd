"""How many sequences go through the model at once where the settings leave it to the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

import models
from tasks.training.objectives.next_token import Objective, Sequences
from tasks.training.settings import TrainingSettings
from tasks.training.training_memory import Shape, divisors, micro_batch_in

if TYPE_CHECKING:
    from accelerate import Accelerator

MOMENT_BYTES = 8  # of a weight that trains, which AdamW takes at its first step


def micro_batch_of(
    model: Any, order: Sequences, objective: Objective, settings: TrainingSettings, accelerator: Accelerator
) -> int:
    """Sequences in a forward pass of this run, the same in every process.

    Raises ValueError where not even one fits on a GPU, and for models whose experts drop tokens by what else is in the
    pass: their result would hang on the machine.
    """
    if settings.micro_batch_size != "auto":
        return settings.micro_batch_size or settings.share
    check_may_be_cut(model.config)
    if accelerator.device.type == "cuda":
        model.to(accelerator.device)
        size = largest_that_fits(
            settings.share, lambda size: try_passes(model, order, objective, size, accelerator)
        )
    else:
        size = estimated_micro_batch(model, settings)
    if accelerator.num_processes > 1:
        smallest = torch.tensor([size], device=accelerator.device)
        size = int(accelerator.gather(smallest).min())
    return size


def check_may_be_cut(config: Any) -> None:
    """Raise ValueError for a model whose loss hangs on how a step is cut into forward passes."""
    if getattr(config, "capacity_factor", None) is not None:
        raise ValueError(
            "training.micro_batch_size=auto: experts with a capacity drop tokens by what is in a forward pass, so that "
            "the result would hang on the machine's memory; allowed: a number, or model.capacity_factor empty"
        )


def largest_that_fits(share: int, attempt: Callable[[int], None]) -> int:
    """The largest divisor of `share` whose attempt does not run out of memory; ValueError where none does."""
    for size in divisors(share):
        try:
            attempt(size)
        except torch.OutOfMemoryError:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        return size
    raise ValueError(
        "training.micro_batch_size=auto: not even one sequence fits into the memory of the GPU; allowed: a shorter "
        "training.sequence_length, training.gradient_checkpointing: true, or a smaller model"
    )


def try_passes(
    model: Any, order: Sequences, objective: Objective, size: int, accelerator: Accelerator
) -> None:
    """A pass there and back of so many sequences, beside what the optimiser will hold; the model is as before."""
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    moments = torch.empty(MOMENT_BYTES * trained, dtype=torch.uint8, device=accelerator.device)
    try:
        ids = torch.from_numpy(order.batch(range(size))).to(accelerator.device)
        for _ in range(2):  # the second time gradients are there already, to be added to
            with accelerator.autocast():
                loss = objective(model, ids)
            loss.backward()
    finally:
        model.zero_grad(set_to_none=True)
        del moments


def estimated_micro_batch(model: Any, settings: TrainingSettings) -> int:
    """The same by what a plan knows of the model, without trying."""
    costs = models.model_costs(model, settings.sequence_length)
    names = getattr(model.config, "expert_names", ())
    base = getattr(model.config, "base_config", model.config)
    shape = Shape(costs.total, costs.trained, 0.0, costs.active)
    return micro_batch_in(shape, base, settings, 1 + len(names))
