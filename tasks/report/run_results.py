"""What a report is about: all that a run has made, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from storage.artifact import Artifact

PAGE = "report.html"  # how every page that opens from disk is called


@dataclass(frozen=True)
class RunResults:
    """What a run has made: its artifacts, mixtures, models and scores by name.

    snapshots: scores of models on their way; responses: what `programmatic` rates. Both count in totals and provenance
    and are in no table of scores. experts: tasks of each, also of one that has no mixture since it is given. languages:
    models asked in many languages, by name.
    """

    title: str
    corpus: Artifact
    utility: Artifact
    mixtures: Mapping[str, Artifact]
    models: Mapping[str, Artifact]
    scores: Mapping[str, Artifact]
    specialisation: Artifact
    forecast: Artifact
    snapshots: Mapping[str, Artifact] = field(default_factory=dict)
    responses: Mapping[str, Artifact] = field(default_factory=dict)
    programmatic: Artifact | None = None
    experts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    languages: Mapping[str, Artifact] = field(default_factory=dict)

    @cached_property
    def artifacts(self) -> list[Artifact]:
        """All of them, in the order of the chain."""
        return [
            self.corpus,
            self.utility,
            *self.mixtures.values(),
            *self.models.values(),
            *self.scores.values(),
            self.specialisation,
            *self.languages.values(),
            *self.snapshots.values(),
            self.forecast,
            *self.responses.values(),
            *([] if self.programmatic is None else [self.programmatic]),
        ]

    @property
    def inputs(self) -> dict[str, str]:
        """Digest of each of them, by what it is."""
        single = {
            "sources": self.corpus,
            "utility": self.utility,
            "specialisation": self.specialisation,
            "forecast": self.forecast,
            **({} if self.programmatic is None else {"programmatic": self.programmatic}),
        }
        several = {
            "mixture": self.mixtures,
            "model": self.models,
            "scores": self.scores,
            "snapshot": self.snapshots,
            "responses": self.responses,
            "languages": self.languages,
        }
        named = {f"{kind} {name}": a for kind, artifacts in several.items() for name, a in artifacts.items()}
        return {name: artifact.digest for name, artifact in (single | named).items()}
