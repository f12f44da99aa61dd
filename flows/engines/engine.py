"""What an engine is to a run: something that carries out a call on a worker, and tells what its workers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

ANSWER_SECONDS = 60  # for a worker to say what it is


class SharedSettings(BaseModel):
    """What every engine is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: PositiveFloat = Field(
        24 * 60, description="The most that one stage may take on its worker; it is ended there."
    )
    tries: PositiveInt = Field(
        10, description="How often a stage is begun, where its worker is lost; it goes on from its progress."
    )
    cache: str | None = Field(
        None, description="A folder on each worker for what it fetches; empty: one of the engine's own."
    )
    threads: PositiveInt | None = Field(
        None, description="Of a stage's process; empty: as many as its worker has cores."
    )
    resources: dict[str, dict[str, PositiveFloat]] = Field(
        {}, description="By the name of a stage what its worker must offer, such as seed: {GPU: 1}."
    )


class Lost(Exception):
    """A worker, or the stage's process on it, ended without a word: it was killed, or its machine is gone."""


@dataclass(frozen=True)
class Wanted:
    """One stage, to be made by whoever has the code: its key on the walk of an experiment.

    experiment, site: as JSON values. minutes: the most it may take. threads: of its process, the worker's cores where
    None. resources: what the worker must offer.
    """

    experiment: dict[str, Any]
    site: dict[str, Any]
    label: str
    key: str
    minutes: float
    cache: str | None = None
    threads: int | None = None
    resources: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker tells of itself."""

    name: str
    packages: dict[str, str]
    commit: str | None  # of our code there, where it lies in a repository
    gpus: tuple[str, ...]
    free_bytes: int
    store: str  # what is wrong with the store as seen from there; empty: nothing


class Engine(Protocol):
    """Workers that are reached."""

    def make(self, wanted: Wanted) -> None:
        """Have a stage made and put into the shared store; returns once it is.

        Raises ValueError where the stage says what is wrong, or took too long, and Lost.
        """
        ...

    def workers(self) -> list[WorkerFacts]:
        """Every worker that is there, asked."""
        ...

    def offered(self) -> list[dict[str, float]]:
        """What each worker that is there offers."""
        ...

    def close(self) -> None:
        """Let go of the workers, and end those that were started for this run."""
        ...
