"""Runs without a record, and what every run is to the pipeline that it walks."""

from __future__ import annotations

from typing import Protocol

from storage.artifact import Artifact
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.stages import Stage


class Reached(Exception):  # not an error: where a run was to end
    """The stage up to which a run was to go is done."""


class AnyRun(Protocol):
    """What stages ask of the run that they are part of: the recorded one, the planned one, one without a record."""

    home: Home
    store: ArtifactStore
    run_id: str
    uses_prefect: bool  # else its stages are called as plain functions
    makes_elsewhere: (
        bool  # other machines make what costs something, so that all of it may be at work at once
    )

    def stage(self, stage: Stage) -> Artifact:
        """The stage's artifact."""
        ...

    def not_known(self, reason: ValueError) -> None:
        """Something that the result rests on could not be found out: a run ends with it, a plan goes on."""
        ...

    def go_on(self) -> None:
        """Called between stages; raises `Reached` where the run was to go so far and no further."""
        ...

    def log_series(self, label: str, rows: list[dict]) -> None:
        """Metrics by step of a stage at work: each row holds `step` and numbers."""
        ...


class UnrecordedRun:
    """Finds or builds stages as a run does; no run is recorded, and nobody watches."""

    uses_prefect = False
    makes_elsewhere = False
    run_id = "unrecorded"

    def __init__(self, home: Home) -> None:
        self.home = home
        self.store = ArtifactStore(home)

    def stage(self, stage: Stage) -> Artifact:
        return self.store.produce(stage)

    def not_known(self, reason: ValueError) -> None:
        raise reason

    def go_on(self) -> None:
        pass

    def log_series(self, label: str, rows: list[dict]) -> None:
        pass
