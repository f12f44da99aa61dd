"""A run that does nothing: it says of each stage whether its result is there, and goes on as if it were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage.artifacts import Artifact, ArtifactStore
from storage.fingerprint import stage_key
from storage.home import Home


class NotYetKnown(Exception):  # not an error: the point up to which a plan can see
    """A stage's facts are needed that only running it can tell."""


class _UnknownFacts(dict):
    def __missing__(self, name: str) -> Any:
        raise NotYetKnown(name)


class PlannedRun:
    """Stands in for `storage.runs.Run` while planning."""

    uses_prefect = False

    def __init__(self, home: Home) -> None:
        self.home = home
        self.run_id = "planned"
        self.stages: list[dict[str, Any]] = []
        self._store = ArtifactStore(home)

    def stage(
        self,
        stage: str,
        version: int,
        settings: dict,
        inputs: dict[str, str],
        build: Callable[[Path], dict],
        name: str = "",
    ) -> Artifact:
        """The artifact where it is there; otherwise one with the right key and facts that are not yet known."""
        key = stage_key(stage, version, settings, inputs)
        found = self._store.find(stage, name, key)
        artifact = found or Artifact(
            stage=stage,
            name=name,
            key=key,
            digest=f"result of {key}",
            path=self._store.folder(stage, name, key),
            facts=_UnknownFacts(),
            provenance={},
        )
        self.stages.append({"artifact": artifact, "settings": settings, "cached": found is not None})
        return artifact
