"""Checkpoints inside a training run: weights, optimiser state and position, all without pickle.

The position is the step alone: the order of the data and the random numbers of a step follow from it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Checkpoint:
    """A training run after `step` optimiser steps, in a folder of its own."""

    folder: Path
    step: int


def save_checkpoint(
    progress: Path, step: int, trainable: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Write trainable weights, optimiser state and step; older checkpoints go.

    The folder is renamed into place when it is whole, so that a kill leaves the previous checkpoint.
    """
    folder = progress / f"step-{step:09d}"
    temporary = progress / "writing"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(
        {name: weight.detach().contiguous() for name, weight in trainable.items()}, temporary / "weights"
    )
    save_file(_optimizer_tensors(trainable, optimizer), temporary / "optimizer")
    (temporary / "step.json").write_text(json.dumps({"step": step}), encoding="utf-8")
    older = [path for path in progress.glob("step-*") if path != folder]
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    for path in older:
        shutil.rmtree(path)


def latest_checkpoint(progress: Path) -> Checkpoint | None:
    """The furthest whole checkpoint under `progress`."""
    found = sorted(progress.glob("step-*/step.json"))
    if not found:
        return None
    return Checkpoint(found[-1].parent, json.loads(found[-1].read_text(encoding="utf-8"))["step"])


@torch.no_grad()
def restore_checkpoint(
    checkpoint: Checkpoint, trainable: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Put weights and optimiser state back as they were."""
    device = str(next(iter(trainable.values())).device)
    for name, weight in load_file(checkpoint.folder / "weights", device=device).items():
        trainable[name].copy_(weight)
    for key, value in load_file(checkpoint.folder / "optimizer", device=device).items():
        name, entry = key.rsplit("|", 1)
        optimizer.state[trainable[name]][entry] = (
            value.cpu() if entry == "step" and device == "cpu" else value
        )


def _optimizer_tensors(
    trainable: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    return {
        f"{name}|{entry}": value.detach().contiguous()
        for name, weight in trainable.items()
        for entry, value in optimizer.state.get(weight, {}).items()
    }
