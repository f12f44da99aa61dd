"""What a way to estimate utility says of itself, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.stages import Cost

if TYPE_CHECKING:
    from tasks.utility.matrix import UtilityMatrix

SECONDS_A_CELL = 0.2


@dataclass(frozen=True)
class Given:
    """What utility is estimated from: texts sampled of each source, and the dev items of each task, as texts.

    kept: folder in the home for what has been paid for and outlives a stage, by a name. report: told a line now and
    then.
    """

    samples: Mapping[str, list[str]]
    dev: Mapping[str, list[str]]
    kept: Callable[[str], Path]
    report: Callable[[str], None]


def seconds_of_cells(settings: Any, num_tasks: int, num_cells: int) -> Cost:
    """The cost of a method that takes a moment for each source and task."""
    return Cost(seconds=SECONDS_A_CELL * num_cells, basis=f"{SECONDS_A_CELL:g} s for each source and task")


@dataclass(frozen=True, kw_only=True)
class UtilityMethod:
    """A way to estimate how useful each source is for each task.

    name: as recipes call it, and the section under `utility` that holds its settings. section: type of that section,
    with `default`. A duel may use several methods at once, so that each has a section and no union is made of them.
    estimate: (section, given) -> sources x tasks with errors; None: from proxies, which are stages of their own.
    decides: what of the section decides the result, as JSON. inputs: digests of what it reads. cost: (section, number
    of tasks, number of sources x tasks). check: ValueError where this machine does not allow what the section asks for.
    """

    name: str
    title: str
    line: str
    section: Any
    default: Any
    describes: str
    estimate: Callable[[Any, Given], UtilityMatrix] | None
    paper: str = ""
    equation: str = ""
    decides: Callable[[Any], dict[str, Any]] = field(default=lambda section: section.model_dump(mode="json"))
    inputs: Callable[[Any], dict[str, str]] = field(default=lambda section: {})
    cost: Callable[[Any, int, int], Cost] = seconds_of_cells
    check: Callable[[Any], None] = field(default=lambda section: None)
