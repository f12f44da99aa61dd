"""Tables whose cells are coloured by value: utility of sources for tasks, use of experts by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.report.formatting import MISSING, fixed, is_number, shortened, significant
from tasks.report.pictures.colours import gradient, heat

DENSE_COLUMNS, COLUMN_NAME = 7, 22
SMALLEST_SHOWN_ERROR = 0.005


@dataclass(frozen=True)
class Cell:
    """What a cell shows, the small line under it, its colours, and whether it is outlined."""

    text: str
    small: str
    background: str
    colour: str
    words: str
    is_marked: bool = False


@dataclass(frozen=True)
class HeatMap:
    """Rows of cells under columns (name as shown, whole name).

    scale: (position in percent, label) along the colour bar.
    """

    title: str
    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[Cell]]]
    label: str
    scale: list[tuple[float, str]]
    gradient: str

    @property
    def is_dense(self) -> bool:
        return len(self.columns) > DENSE_COLUMNS


def utility_map(cells: Sequence[dict]) -> HeatMap:
    """The utility matrix, sources down and tasks across; the best source of each task is outlined."""
    sources, tasks = (
        list(dict.fromkeys(c["source"] for c in cells)),
        list(dict.fromkeys(c["task"] for c in cells)),
    )
    found = {(c["source"], c["task"]): c for c in cells}
    most = {task: max((c["value"] for c in cells if c["task"] == task), default=0) for task in tasks}
    rows = []
    for source in sources:
        line = []
        for task in tasks:
            cell = found.get((source, task))
            if cell is None or not is_number(cell["value"]):
                line.append(_empty(f"{source} for {task}: not estimated"))
                continue
            background, colour = heat(cell["value"])
            line.append(
                Cell(
                    fixed(cell["value"], 2),
                    _error(cell["stderr"]),
                    background,
                    colour,
                    f"{source} for {task}: {significant(cell['value'])} ± {significant(cell['stderr'])}",
                    cell["value"] == most[task] and most[task] > 0,
                )
            )
        rows.append((source, line))
    return HeatMap(
        "", _shown(tasks), rows, "utility for the task", [(0, "0"), (50, "0.5"), (100, "1")], gradient()
    )


def gate_maps(rows: Sequence[dict], domains: Mapping[str, Sequence[str]]) -> list[HeatMap]:
    """One map a stitch: of all that streams contribute there, the share of each, by domain of the text.

    domains: expert -> sources of its domain, which are outlined.
    """
    top = max((row["share"] for row in rows if is_number(row["share"])), default=1.0)
    maps = []
    for stitch in dict.fromkeys(row["stitch"] for row in rows):
        part = [row for row in rows if row["stitch"] == stitch]
        streams = list(dict.fromkeys(row["stream"] for row in part))
        found = {(row["domain"], row["stream"]): row for row in part}
        lines = []
        for domain in dict.fromkeys(row["domain"] for row in part):
            cells = [
                _gate_cell(found.get((domain, stream)), top, domain in domains.get(stream, ()))
                for stream in streams
            ]
            lines.append((domain, cells))
        title = f"stitch {stitch + 1}: {part[0]['kind']}, layer {part[0]['layer']}"
        scale = [(0.0, "0"), (50.0, fixed(top / 2, 2)), (100.0, fixed(top, 2))]
        maps.append(HeatMap(title, _shown(streams), lines, "share of contributions", scale, gradient()))
    return maps


def _gate_cell(row: dict | None, top: float, is_own: bool) -> Cell:
    if row is None or not is_number(row["share"]):
        return _empty("not measured")
    background, colour = heat(row["share"] / top if top else 0)
    return Cell(
        fixed(row["share"], 2),
        f"gate {fixed(row['gate_mean'], 2)}",
        background,
        colour,
        f"share {fixed(row['share'])}, mean gate {fixed(row['gate_mean'])}, spread over channels "
        f"{fixed(row['gate_std'])}",
        is_own,
    )


def _shown(columns: Sequence[str]) -> list[tuple[str, str]]:
    return [(shortened(name, COLUMN_NAME), name) for name in columns]


def _error(stderr: float | None) -> str:
    if not is_number(stderr):
        return "error unknown"
    return f"±{fixed(stderr, 2)}" if stderr >= SMALLEST_SHOWN_ERROR or stderr == 0 else "±<.01"


def _empty(words: str) -> Cell:
    return Cell(MISSING, "", "transparent", "inherit", words)
