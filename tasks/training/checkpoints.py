"""Checkpoints inside a training run: weights, optimiser state and position, all without pickle.

The position is the step alone: the order of the data and the random numbers of a step follow from it. A checkpoint
holds the digests of its files, and of what else lies under `progress` that a run goes on from with it (snapshots, say);
one that is not as it was written is set aside, and the one before it serves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from storage.damage import remove_tree
from storage.fingerprint import digest_file
from storage.sealed import Damaged, read_sealed, write_sealed
from storage.writing import put_in_place

POSITION = "step.json"
FILES = ("weights", "optimizer")
KEPT = 2  # the last one, and one to go back to where it is damaged
log = logging.getLogger("mixstitch.training")


@dataclass(frozen=True)
class Checkpoint:
    """A training run after `step` optimiser steps, in a folder of its own.

    beside: file under `progress` -> digest, of what belongs to it there. notes: JSON values that were kept with it.
    """

    folder: Path
    step: int
    beside: Mapping[str, str]
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class Ring:
    """Checkpoints that are kept for going back: the last `size` of those at every so manieth step."""

    every: int
    size: int

    def holds(self, step: int) -> bool:
        return step % self.every == 0


def save_checkpoint(
    progress: Path,
    step: int,
    trainable: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    beside: Mapping[str, str] | None = None,
    notes: Mapping[str, Any] | None = None,
    ring: Ring | None = None,
) -> None:
    """Write trainable weights, optimiser state and step; all but the last two checkpoints go, and those of the ring.

    beside, notes: as of `Checkpoint`. The folder is renamed into place when it is whole and on the disk, so that a kill
    or a power cut leaves the previous checkpoint.
    """
    folder = progress / f"step-{step:09d}"
    temporary = progress / "writing"
    remove_tree(temporary)
    temporary.mkdir(parents=True)
    save_file(
        {name: weight.detach().contiguous() for name, weight in trainable.items()}, temporary / "weights"
    )
    save_file(_optimizer_tensors(trainable, optimizer), temporary / "optimizer")
    digests = {name: digest_file(temporary / name) for name in FILES}
    write_sealed(
        temporary / POSITION,
        {"step": step, "files": digests, "beside": dict(beside or {}), "notes": dict(notes or {})},
    )
    remove_tree(folder)
    put_in_place(temporary, folder)
    folders = sorted(progress.glob("step-*"))
    in_ring = [] if ring is None else [path for path in folders if ring.holds(_step_of(path))][-ring.size :]
    for path in folders[:-KEPT]:
        if path not in in_ring:
            remove_tree(path)


def latest_checkpoint(progress: Path) -> Checkpoint | None:
    """The furthest whole checkpoint under `progress`."""
    return next(whole_checkpoints(progress), None)


def whole_checkpoints(progress: Path) -> Iterator[Checkpoint]:
    """Every whole checkpoint under `progress`, the furthest first."""
    for folder in sorted(progress.glob("step-*"), reverse=True):
        try:
            yield _read(progress, folder)
        except Damaged:
            continue


def set_broken_aside(progress: Path) -> None:
    """Give another name to checkpoints that are not as they were written, and say so; for one process alone."""
    for folder in sorted(progress.glob("step-*")):
        try:
            _read(progress, folder)
        except Damaged as error:
            place = folder.with_name(f"broken-{folder.name}")
            remove_tree(place)
            folder.rename(place)
            log.warning(
                "%s is damaged (%s): set aside as %s; training goes on without it", folder, error, place
            )


def _read(progress: Path, folder: Path) -> Checkpoint:
    """A checkpoint, verified. Raises Damaged where it is not whole."""
    try:
        found = read_sealed(folder / POSITION)
        expected = {folder / name: digest for name, digest in found["files"].items()}
        expected |= {progress / name: digest for name, digest in found["beside"].items()}
        for path, digest in expected.items():
            if digest_file(path) != digest:
                raise Damaged(f"{path.name} does not match its digest")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise Damaged(f"{Path(error.filename).name} is missing") from error
    except Damaged as error:
        raise Damaged(f"{POSITION}: {error}" if str(error).startswith("it ") else str(error)) from error
    return Checkpoint(folder, found["step"], found["beside"], found.get("notes", {}))


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


@torch.no_grad()
def restore_checkpoint(
    checkpoint: Checkpoint, trainable: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Put weights and optimiser state back as they were."""
    optimizer.state.clear()  # at step 0 there was none
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
