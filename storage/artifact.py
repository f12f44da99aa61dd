"""A result of a stage: where it lies, what identifies it, and its few decisive numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from storage.fingerprint import stage_key
from storage.stages import Stage


class Gone(ValueError):
    """A result has been cleaned away."""


@dataclass(frozen=True)
class Artifact:
    """A result of a stage: where it lies, what identifies it, and its few decisive numbers."""

    stage: str
    name: str
    key: str
    digest: str
    folder: Path  # where it lies, or will once it is opened
    facts: dict
    provenance: dict
    hit: bool = False
    expected: bool = False  # not there yet: the facts are those to expect
    title: str = ""
    did: str = ""
    seconds: float = field(default=0.0, compare=False)
    bring: Callable[[], None] | None = field(
        default=None, compare=False
    )  # from the shared store to its folder

    @property
    def path(self) -> Path:
        """The folder to read from; a result that lies in the shared store alone is brought here first."""
        if self.bring is not None and not self.folder.exists():
            self.bring()
        return self.folder

    @property
    def label(self) -> str:
        return label_of(self.stage, self.name)

    @classmethod
    def of_manifest(cls, folder: Path, manifest: dict) -> Artifact:
        """The artifact that a manifest describes, in the folder that it lies in or would lie in."""
        names = ("stage", "name", "key", "digest", "facts", "provenance")
        told = {name: manifest.get(name, "") for name in ("title", "did")}
        return cls(folder=folder, **{name: manifest[name] for name in names}, **told)


def label_of(stage: str, name: str) -> str:
    return f"{stage}/{name}" if name else stage


def key_of(stage: Stage) -> str:
    return stage_key(stage.name, stage.version, stage.identity, stage.inputs)
