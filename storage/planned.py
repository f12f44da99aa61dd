"""A run that does nothing: it says of each stage whether its result is there, and goes on as if it were."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from storage.artifact import Artifact, key_of
from storage.home import Home
from storage.stages import Cost, Stage
from storage.unrecorded import UnrecordedRun

SUMMED = ("tokens", "read", "flops", "disk_gb", "requests", "minutes")


@dataclass(frozen=True)
class PlannedStage:
    """A stage that a run would go through, and its result, there or to be expected."""

    stage: Stage
    artifact: Artifact

    @cached_property
    def cost(self) -> Cost:
        """What making the result would cost; nothing where it is there."""
        return self.stage.cost() if self.artifact.expected else Cost()


class PlannedRun(UnrecordedRun):
    """Walks a pipeline and builds nothing."""

    run_id = "planned"

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.stages: list[PlannedStage] = []
        self.notes: list[str] = []
        self._known: dict[str, Artifact] = {}

    def stage(self, stage: Stage) -> Artifact:
        """The artifact where it is there; otherwise one with the right key and the facts to be expected.

        What is walked through twice is planned once, as it would be built once.
        """
        key = key_of(stage)
        if key in self._known:
            return self._known[key]
        found = self.store.find(stage.name, stage.label, key) or self.store.elsewhere(
            stage.name, stage.label, key
        )
        artifact = found or Artifact(
            stage=stage.name,
            name=stage.label,
            key=key,
            digest=f"result of {key}",
            folder=self.store.folder(stage.name, stage.label, key),
            facts=stage.expected(),
            provenance={},
            expected=True,
        )
        self._known[key] = artifact
        self.stages.append(PlannedStage(stage, artifact))
        return artifact

    def not_known(self, reason: ValueError) -> None:
        self.notes.append(str(reason))

    def rows(self, flops_per_second: float) -> list[dict[str, Any]]:
        """{stage, name, cached, tokens, read, flops, memory_gb, disk_gb, requests, minutes} of each stage, in order.

        None where it is not known. minutes: of the FLOPs at the given speed, and of what else takes time.
        """
        return [_row(planned, flops_per_second) for planned in self.stages]

    def bases(self) -> list[str]:
        """What the estimates rest on, each said once, for the stages that have it."""
        stages: dict[str, list[str]] = {}
        for planned in self.stages:
            if planned.cost.basis:
                stages.setdefault(planned.cost.basis, []).append(planned.artifact.stage)
        return [f"{', '.join(dict.fromkeys(names))}: {basis}." for basis, names in stages.items()]


def totals(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The sum of each column over what is not there yet; what is not known counts as nothing."""
    return {name: sum(float(row[name] or 0) for row in rows if not row["cached"]) for name in SUMMED}


def grouped(rows: list[dict[str, Any]], at_most: int) -> list[dict[str, Any]]:
    """The rows with those of a stage that has more than `at_most` summed up in one, named for their number."""
    of_stage: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        of_stage.setdefault(row["stage"], []).append(row)
    found: list[dict[str, Any]] = []
    for row in rows:
        own = of_stage[row["stage"]]
        if len(own) <= at_most:
            found.append(row)
        elif row is own[0]:
            missing = [one for one in own if not one["cached"]]
            memory = max(one["memory_gb"] or 0.0 for one in own)
            about = {"name": f"{len(own)} results", "cached": not missing, "memory_gb": memory}
            found.append(row | about | totals(own))
    return found


def _row(planned: PlannedStage, flops_per_second: float) -> dict[str, Any]:
    artifact, cost = planned.artifact, planned.cost
    known = cost.flops is not None and cost.seconds is not None
    seconds = (cost.flops or 0) / flops_per_second + (cost.seconds or 0)
    return {
        "stage": artifact.stage,
        "name": artifact.name,
        "cached": not artifact.expected,
        "tokens": cost.tokens,
        "read": cost.read,
        "flops": cost.flops,
        "memory_gb": None if cost.memory is None else cost.memory / 1e9,
        "disk_gb": None if cost.disk is None else cost.disk / 1e9,
        "requests": cost.requests,
        "minutes": seconds / 60 if known else None,
    }
