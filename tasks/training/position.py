"""Where a training run is; it goes on after a start, a kill or a rewind in one way, from what lies on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from storage.damage import remove_tree
from storage.sealed import Damaged
from tasks.training.checkpoints import (
    Checkpoint,
    Ring,
    restore_checkpoint,
    save_checkpoint,
    set_broken_aside,
    whole_checkpoints,
)
from tasks.training.settings import TrainingSettings
from tasks.training.stability.alarm import as_json, begin, from_json, onset_of
from tasks.training.stability.looks import LOOKS
from tasks.training.stability.monitor import Adam
from tasks.training.stability.recovery import (
    Course,
    Decision,
    check_disk,
    clears,
    course_of,
    decide,
    is_of_this_course,
    read_decisions,
    write_decisions,
)
from tasks.training.stability.telling import all_events, said
from tasks.training.stability.watch import Watch

if TYPE_CHECKING:
    from accelerate import Accelerator


class Position:
    """Weights and optimizer of one process at a step of the run's course, with what is known of the way there.

    step: updates behind the weights. course: which batch each step reads. kept: file under `progress` -> digest, of
    what the next checkpoint belongs to.
    """

    step: int
    course: Course

    def __init__(
        self,
        progress: Path,
        trainable: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        settings: TrainingSettings,
        num_batches: int,
    ) -> None:
        """Raises ValueError where the ring of checkpoints is larger than the disk allows."""
        self._progress, self._trainable, self._optimizer = progress, dict(trainable), optimizer
        self._accelerator, self._settings, self._num_batches = accelerator, settings, num_batches
        self._recovery = settings.stability.recovery
        self.is_main = accelerator.is_main_process
        self.recovers = self._recovery.applies(num_batches)
        self._ring = Ring(self._recovery.every, self._recovery.ring) if self.recovers else None
        adam = Adam(settings.beta1, settings.beta2, settings.epsilon)
        self.watch = Watch(trainable, settings.stability, adam, progress / LOOKS if self.is_main else None)
        if self.is_main:
            if self.recovers:
                check_disk(progress, sum(weight.numel() for weight in trainable.values()), self._recovery)
            set_broken_aside(progress)
        self._go_on()
        self.resumed_at = self.step
        self._told = len(self.events())
        if self.recovers and self.step == 0:
            self.keep()

    def _go_on(self) -> None:
        """Put everything as it was at the furthest checkpoint of this course, or as it is at the start."""
        self._accelerator.wait_for_everyone()
        self.decisions = _decisions(self._progress) if self.recovers else []
        if self.is_main:
            for found in whole_checkpoints(self._progress):
                if not self._is_mine(found):
                    remove_tree(found.folder)
        self._accelerator.wait_for_everyone()
        self.course = course_of(self._num_batches, self.decisions, self._recovery)
        checkpoint = next(whole_checkpoints(self._progress), None)
        watched = begin(self._recovery)
        self.kept = dict(checkpoint.beside) if checkpoint else {}
        self.step = checkpoint.step if checkpoint else 0
        if checkpoint is not None:
            restore_checkpoint(checkpoint, self._trainable, self._optimizer)
            if clears(_made_under(checkpoint), self.decisions):
                self._optimizer.state.clear()
            if "watched" in checkpoint.notes:
                watched = from_json(checkpoint.notes["watched"], self._recovery)
            if _made_under(checkpoint) < len(self.decisions):  # what came before, the decision tells
                watched = replace(watched, events=())
        elif self.decisions:
            raise ValueError(
                f"{self._progress}: recovery.json tells of rewinds, and no checkpoint is left that they went to; "
                "allowed: remove that folder, and train anew"
            )
        epsilon = self._settings.epsilon * self.course.epsilon_factor
        for group in self._optimizer.param_groups:
            group["eps"] = epsilon
        self.watch.go_on(watched, self.step, len(self.decisions), self.course.cleared_at, epsilon)

    def _is_mine(self, checkpoint: Checkpoint) -> bool:
        return is_of_this_course(checkpoint.step, _made_under(checkpoint), self.decisions)

    @property
    def is_last(self) -> bool:
        return self.step == self.course.num_steps

    def is_due(self) -> bool:
        """Whether a checkpoint that can be gone back to is due at this step."""
        return self._ring is not None and self._ring.holds(self.step) and not self.is_last

    def keep(self) -> None:
        """Write a checkpoint."""
        notes = {"decisions": len(self.decisions), "watched": as_json(self.watch.read())}
        if self.is_main:
            save_checkpoint(
                self._progress, self.step, self._trainable, self._optimizer, self.kept, notes, self._ring
            )

    def went_back(self) -> bool:
        """Go back where there was a spike since the last look, and recovery is on: decided where the monitor looks."""
        if not self.recovers or not (self.watch.looks_after(self.step) or self.is_last):
            return False
        decision = self._decision()
        if self._accelerator.num_processes > 1:  # all or none, lest one waits for the others forever
            wants = torch.tensor(float(decision is not None), device=self._accelerator.device)
            if float(self._accelerator.reduce(wants, "sum")) not in (0.0, self._accelerator.num_processes):
                raise RuntimeError(f"step {self.step}: the processes do not agree on whether to go back")
        if decision is None:
            return False
        if self.is_main:
            write_decisions(self._progress, [*self.decisions, decision])
        self._go_on()
        return True

    def _decision(self) -> Decision | None:
        watched, every = self.watch.read(), self._settings.stability.monitor.every
        spikes = [e for e in watched.events if e["event"] == "spike" and e["step"] > self.step - every]
        if not spikes:
            return None
        ring = [c.step for c in whole_checkpoints(self._progress) if c.step % self._recovery.every == 0]
        reach = self._recovery.ring * self._recovery.every
        onset = onset_of(spikes[0], watched.events, reach)
        decision = decide(self.step, onset, ring, self.decisions, self.course, self._recovery)
        return None if decision is None else replace(decision, because=tuple(dict(e) for e in watched.events))

    def events(self) -> list[dict[str, Any]]:
        """Everything that happened so far, in its order."""
        return all_events(self.decisions, self.watch.read().events)

    def tell(self) -> dict[str, Any]:
        """For the step log: the last look at all layers, and what happened since the last time, in sentences."""
        events = self.events()
        new, self._told = events[self._told :], len(events)
        return {**self.watch.latest, **({"said": [said(event) for event in new]} if new else {})}


def _made_under(checkpoint: Checkpoint) -> int:
    """How many decisions there were when it was written."""
    return checkpoint.notes.get("decisions", 0)


def _decisions(progress: Path) -> list[Decision]:
    try:
        return read_decisions(progress)
    except Damaged as error:
        raise ValueError(
            f"{progress / 'recovery.json'}: {error}, and without it nobody knows which batches were skipped; allowed: "
            "remove that folder, and train anew"
        ) from error
