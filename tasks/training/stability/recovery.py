"""Recovery after a spike of the loss: which checkpoint to go back to, which batches to skip, what else to change.

As for PaLM (Chowdhery et al. 2022, section 5.1: back about 100 steps, skip 200 to 500 batches, which do no harm later),
and in section 7 of Molybog et al. 2023, arXiv 2304.09871: a lower rate and a lower epsilon. All of it is a function of
the decisions made so far; the file that holds them is the one thing that a decision writes, whole or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from storage.sealed import read_sealed, write_sealed
from tasks.training.stability.cursor import batches_read
from tasks.training.stability.settings import RecoverySettings, Step

JOURNAL = "recovery.json"


@dataclass(frozen=True)
class Decision:
    """One rewind.

    detected: step (from 1) at which the spike was there. onset: where its signs began. target: updates that the weights
    gone back to have behind them. skipped: batches left out from there on. escalation: what else changes.
    because: the events since the last rewind or the start.
    """

    detected: int
    onset: int
    target: int
    skipped: tuple[int, ...]
    escalation: Step | None
    because: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Course:
    """How a run goes under its decisions: batch of each step, factors of the learning rate and of epsilon, and the step
    at which Adam's state was cleared last (0: never)."""

    batches: np.ndarray
    rate_factor: float
    epsilon_factor: float
    cleared_at: int

    @property
    def num_steps(self) -> int:
        return len(self.batches)


def course_of(num_batches: int, decisions: Sequence[Decision], settings: RecoverySettings) -> Course:
    skipped = [batch for decision in decisions for batch in decision.skipped]
    taken = [decision.escalation for decision in decisions]
    cleared_at = 0
    for (
        decision
    ) in decisions:  # whoever goes back behind a clearing, begins with m = v = 0 there, see `clears`
        cleared_at = decision.target if decision.escalation == "clear" else min(cleared_at, decision.target)
    return Course(
        batches_read(num_batches, skipped, settings.skipped == "replay"),
        settings.rate_factor ** taken.count("rate"),
        settings.epsilon_factor ** taken.count("epsilon"),
        cleared_at,
    )


def decide(
    detected: int,
    onset: int,
    ring: Iterable[int],
    decisions: Sequence[Decision],
    course: Course,
    settings: RecoverySettings,
) -> Decision | None:
    """What to do about a spike; None where all that the settings allow was done, or nothing lies before the onset.

    ring: steps of the checkpoints that can be gone back to. Rewinds count as tries of one trouble while each is
    detected within the ring's reach of the one before.
    """
    before = [step for step in ring if step < onset]
    replayed_from = course.num_steps - sum(len(d.skipped) for d in decisions)
    if not before or (settings.skipped == "replay" and detected > replayed_from):
        return None
    tries, last = 0, detected
    for decision in reversed(decisions):
        if last - decision.detected > settings.ring * settings.every:
            break
        tries, last = tries + 1, decision.detected
    stage = tries - settings.retries
    if stage >= len(settings.escalation):
        return None
    target = max(before)
    end = max(target + settings.skip, detected)  # what was read when it came is among them
    end = min(end, replayed_from if settings.skipped == "replay" else course.num_steps)
    return Decision(
        detected,
        onset,
        target,
        tuple(int(batch) for batch in course.batches[target:end]),
        settings.escalation[stage] if stage >= 0 else None,
    )


def is_of_this_course(step: int, num_decisions: int, decisions: Sequence[Decision]) -> bool:
    """Whether weights after `step` updates, made under the first `num_decisions` decisions, are on the way of all."""
    return all(step <= decision.target for decision in decisions[num_decisions:])


def clears(num_decisions: int, decisions: Sequence[Decision]) -> bool:
    """Whether going on from weights made under the first `num_decisions` decisions begins with m = v = 0."""
    return any(decision.escalation == "clear" for decision in decisions[num_decisions:])


def check_disk(progress: Path, num_weights: int, settings: RecoverySettings) -> None:
    """Raise ValueError where the ring, and the two checkpoints beside it, are larger than what the disk has left."""
    needed = settings.ring_bytes(num_weights)
    free = shutil.disk_usage(next(p for p in (progress, *progress.parents) if p.exists())).free
    if needed > free:
        raise ValueError(
            f"training.stability.recovery.ring={settings.ring}: that many checkpoints of {num_weights:,} weights need "
            f"{needed / 1e9:,.1f} GB, and {progress} has {free / 1e9:,.1f} GB left; allowed: a smaller ring, or "
            "recovery.when: never"
        )


def read_decisions(progress: Path) -> list[Decision]:
    """Those that were made under `progress`, in order. Raises Damaged where the file is not as it was written."""
    path = progress / JOURNAL
    if not path.exists():
        return []
    return [
        Decision(**{**told, "skipped": tuple(told["skipped"]), "because": tuple(told["because"])})
        for told in read_sealed(path)["decisions"]
    ]


def write_decisions(progress: Path, decisions: Sequence[Decision]) -> None:
    """From here on the run goes on as they say, whatever is killed."""
    write_sealed(progress / JOURNAL, {"decisions": [asdict(decision) for decision in decisions]})
