"""What a stage says of one piece of its work, in one place: what decides it, how it is made, what it costs, what came.

One value serves whoever takes it: the run builds it, the plan asks what it would cost and goes on with the facts
to expect, `retraining` builds it without a record. It stands here since the store executes it; what Prefect adds
stands in `tasks/stage.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROGRESS_LOGGER = "mixstitch.progress"  # of stages that end, and of how far one is


@dataclass(frozen=True)
class Cost:
    """What a stage takes, as far as can be told before it runs; sums leave out what is None, not known.

    tokens: trained on. read: tokens that models read or write otherwise, in scoring, answering or judging. flops: of
    both. memory: bytes at the peak of one process. disk: bytes kept. requests: scored, answered or judged. seconds:
    beside what the FLOPs take. basis: what an estimate rests on, in words; empty: exact.
    """

    tokens: float | None = 0.0
    read: float | None = 0.0
    flops: float | None = 0.0
    memory: float | None = 0.0
    disk: float | None = 0.0
    requests: float | None = 0.0
    seconds: float | None = 0.0
    basis: str = ""

    @property
    def is_work(self) -> bool:
        """Whether models are trained, read or asked, or may be: all but figures drawn from results that are there."""
        return any(amount is None or amount > 0 for amount in (self.flops, self.read, self.requests))


def nothing_to_tell(facts: dict) -> str:
    return ""


@dataclass(frozen=True)
class Stage:
    """One piece of work of the stage `name`.

    version: of the stage's code. identity: JSON values that decide the result. inputs: name -> digest of what it is
    made from. build: makes the result in a folder and returns its facts, JSON values. label: its name, where the
    stage has several. title and did: what it is called on a page, and what was done in two words. cost: asked only
    where the result is not there. expected: the facts that later stages decide from, as far as they can be told
    without the work; upper bounds. headline: facts -> the one line a person wants.
    """

    name: str
    version: int
    identity: dict
    inputs: dict[str, str]
    build: Callable[[Path], dict]
    label: str = ""
    title: str = ""
    did: str = ""
    cost: Callable[[], Cost] = Cost
    expected: Callable[[], dict] = dict
    headline: Callable[[dict], str] = nothing_to_tell
