"""The command `mixstitch mix export`, and how a mixture is written for a trainer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.mixture.trainer_formats import TRAINERS, written_for

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture

PlacesOfSources = Annotated[
    list[str] | None,
    typer.Option("--paths", help="NAME=PATTERN: where the trainer finds a source; several times."),
]


def write_mixture(mixture: Mixture, trainer: str, file: str, paths: list[str]) -> None:
    """Write the mixture as the trainer reads it. Raises ValueError for what --paths or the file's place cannot be."""
    from storage.writing import write_whole

    places: dict[str, list[str]] = {}
    for one in paths:
        name, separator, place = one.partition("=")
        if not separator or not name or not place:
            raise ValueError(f"--paths {one!r}: must be NAME=PATTERN")
        places.setdefault(name, []).append(place)
    text = written_for(trainer, mixture, places)
    try:
        write_whole(Path(file), text)
    except OSError as error:
        raise ValueError(f"{trainer} {file}: cannot be written: {error.strerror or error}") from error


def export(
    run: Annotated[str, typer.Argument(help="A run's id, the beginning of one, or `latest`.")],
    trainer: Annotated[str, typer.Argument(help=f"One of {', '.join(TRAINERS)}.")],
    file: Annotated[str, typer.Argument(help="File to write.")],
    mixture: Annotated[
        str, typer.Option("--mixture", help="A mixture of the run: seed, stitched, or an expert's name.")
    ] = "seed",
    paths: PlacesOfSources = None,
) -> None:
    """Write a mixture that a run solved in a trainer's own format."""
    from flows.environment import open_home
    from storage.run_records import find_record
    from storage.runs import results_of
    from tasks.mixture.mixture import Mixture
    from tasks.mixture.task import read_mixture

    home = open_home()
    artifacts = [a for a in results_of(home, find_record(home, run)) if "mixture" in a.facts]
    found = {a.facts["mixture"]["name"]: a for a in artifacts}
    if mixture not in found:
        allowed = ", ".join(found) or "none, it solved none"
        raise ValueError(f"--mixture {mixture}: {run} has no such mixture; allowed: {allowed}")
    solved = Mixture.from_json(read_mixture(found[mixture]))
    if not any(solved.tokens.values()):
        raise ValueError(f"--mixture {mixture}: nothing is read of it; allowed: one that a model trains on")
    write_mixture(solved, trainer, file, paths or [])
    print(f"{mixture}: {file}")
