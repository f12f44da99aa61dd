"""Snapshots: the weights at some steps on the way, kept while training goes on, then made into models.

Under `progress` they outlive a kill, as checkpoints do. A resumed run writes those again that come after its
checkpoint; those before it are there, since a step's snapshot is written before its checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from storage.fingerprint import digest_file
from storage.writing import put_in_place

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def keep_snapshot(progress: Path, step: int, trainable: dict[str, nn.Parameter]) -> None:
    """Write the trainable weights after `step` optimiser steps, in the place of older ones of that step.

    The file is renamed into place when it is whole, so that a kill leaves it as it was or not there.
    """
    path = _kept(progress, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name("writing")
    save_file({name: weight.detach().contiguous() for name, weight in trainable.items()}, temporary)
    put_in_place(temporary, path)


def snapshot_digest(progress: Path, step: int) -> dict[str, str]:
    """File under `progress` -> digest of the snapshot of a step, for the checkpoints that come after it."""
    path = _kept(progress, step)
    return {path.relative_to(progress).as_posix(): digest_file(path)}


@torch.no_grad()
def save_snapshots(progress: Path, steps: Iterable[int], model: PreTrainedModel, out: Path) -> None:
    """Save what was kept of each step as a model of its own, into out/<step>.

    What does not train is taken from `model`, which is left with the weights of the last step. Raises
    FileNotFoundError where nothing was kept of a step.
    """
    weights = dict(model.named_parameters())
    for step in steps:
        for name, kept in load_file(_kept(progress, step)).items():
            weights[name].copy_(kept)
        model.save_pretrained(out / str(step))


def _kept(progress: Path, step: int) -> Path:
    return progress / "snapshots" / f"{step}.safetensors"
