"""A run that does nothing: it says of each stage whether its result is there, and goes on as if it were."""

from __future__ import annotations

from dataclasses import dataclass

from storage.artifacts import Artifact, ArtifactStore, key_of
from storage.home import Home
from storage.stage import Cost, Stage


@dataclass(frozen=True)
class PlannedStage:
    """A stage that a run would go through: its result, there or to be expected, and what making it would cost."""

    artifact: Artifact
    cost: Cost


class PlannedRun:
    """Stands in for `storage.runs.Run` while planning."""

    uses_prefect = False
    run_id = "planned"

    def __init__(self, home: Home) -> None:
        self.home = home
        self.store = ArtifactStore(home)
        self.stages: list[PlannedStage] = []
        self.notes: list[str] = []

    def stage(self, stage: Stage) -> Artifact:
        """The artifact where it is there; otherwise one with the right key and the facts to be expected."""
        key = key_of(stage)
        found = self.store.find(stage.name, stage.label, key)
        artifact = found or Artifact(
            stage=stage.name,
            name=stage.label,
            key=key,
            digest=f"result of {key}",
            path=self.store.folder(stage.name, stage.label, key),
            facts=stage.expected(),
            provenance={},
            expected=True,
        )
        self.stages.append(PlannedStage(artifact, Cost() if found else stage.cost()))
        return artifact

    def not_known(self, reason: ValueError) -> None:
        """Something that only a run needs to know could not be found out: a plan says so and goes on."""
        self.notes.append(str(reason))
