"""Tables of a model in many languages: accuracy and gaps as maps, test languages across, ways to ask down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.report.formatting import MISSING, fixed
from tasks.report.heatmaps import Cell, HeatMap
from tasks.report.pictures.colours import INK, gradient, heat

LOSS, GAIN = (178, 58, 46), (15, 107, 116)  # of a gap of MOST_GAP
MOST_GAP = 0.2
PAPER = (251, 250, 247)


def accuracy_map(told: Mapping[str, Any]) -> HeatMap:
    """One row a template, demonstration language and number of shots; each column's best cell is outlined."""
    cells = told["cells"]
    tests = list(dict.fromkeys(cell["test"] for cell in cells))
    ways = list(dict.fromkeys(_way_of(cell) for cell in cells))
    found = {(*_way_of(cell), cell["test"]): cell for cell in cells}
    most = {test: max(c["mean"] for c in cells if c["test"] == test) for test in tests}
    lowest, highest = min(c["mean"] for c in cells), max(c["mean"] for c in cells)
    rows = []
    for way in ways:
        line = [_accuracy(found.get((*way, test)), lowest, highest, most[test]) for test in tests]
        rows.append((_way(way), line))
    scale = [(0.0, fixed(lowest, 2)), (100.0, fixed(highest, 2))]
    return HeatMap("", [(test, test) for test in tests], rows, "accuracy", scale, gradient())


def gap_map(told: Mapping[str, Any]) -> HeatMap | None:
    """Demonstrations in each language against the tested one's own; outlined where 95% intervals leave out 0."""
    gaps = told["gaps"]
    if not gaps:
        return None
    tests = list(dict.fromkeys(gap["test"] for gap in gaps))
    ways = list(dict.fromkeys((gap["shots"], gap["template"], gap["demonstrations"]) for gap in gaps))
    found = {(g["shots"], g["template"], g["demonstrations"], g["test"]): g for g in gaps}
    rows = [(_way(way), [_gap(found.get((*way, test))) for test in tests]) for way in ways]
    scale = [(0.0, f"−{MOST_GAP}"), (50.0, "0"), (100.0, f"+{MOST_GAP}")]
    colours = ", ".join(_colour(level * MOST_GAP) for level in (-1, 0, 1))
    bar = f"linear-gradient(90deg, {colours})"
    return HeatMap("", [(test, test) for test in tests], rows, "less and more accurate than own", scale, bar)


def expected_outlines(told: Mapping[str, Any]) -> str:
    """How many of the gaps would be outlined if there were none: "of 24, about 1.2 by chance"."""
    return f"of {len(told['gaps'])}, about {0.05 * len(told['gaps']):.1f} by chance"


def gain_rows(told: Mapping[str, Any]) -> list[dict[str, str]]:
    """Demonstrations in the high-resource language, by language and over all."""
    return [
        {
            "test": row["test"] or f"mean of {row['languages']} languages",
            "template": row["template"],
            "shots": str(row["shots"]),
            "gain": signed(row),
            "spread": MISSING if row["spread"] is None else fixed(row["spread"]),
            "items": f"{row['items']} × {row['sets']}",
        }
        for row in told["gains"]
    ]


def best_rows(told: Mapping[str, Any]) -> list[dict[str, str]]:
    """The best cell of each language, on the items that did not choose it."""
    return [
        {
            "test": row["test"],
            "way": _way((row["shots"], row["template"], row["demonstrations"])),
            "accuracy": f"{fixed(row['mean'])} [{fixed(row['low'])}, {fixed(row['high'])}]",
            "of": str(row["of"]),
            "items": str(row["items"]),
            "over": MISSING if row["over_plain"] is None else signed(row["over_plain"]),
        }
        for row in told["best"]
    ]


def signed(row: Mapping[str, Any]) -> str:
    """ "+0.012 [−0.020, +0.044]"."""
    if row["low"] is None:
        return f"{row['mean']:+.3f}"
    return f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]".replace("-", "−")


def _way_of(cell: Mapping[str, Any]) -> tuple[int, str, str | None]:
    """Shots, template and demonstration language; `own` where that is the tested one."""
    shown = cell["demonstrations"]
    return cell["shots"], cell["template"], "own" if shown == cell["test"] else shown


def _way(way: Sequence[Any]) -> str:
    shots, template, shown = way
    said = f"template {template}"
    return f"{said}, no shots" if shown is None else f"{said}, {shots} shot{'s' * (shots > 1)} in {shown}"


def _accuracy(cell: Mapping[str, Any] | None, lowest: float, highest: float, most: float) -> Cell:
    if cell is None:
        return Cell(MISSING, "", "transparent", "inherit", "not asked")
    background, colour = heat((cell["mean"] - lowest) / (highest - lowest) if highest > lowest else 0.0)
    spread = "one set" if cell["spread"] is None else f"±{fixed(cell['spread'], 2)}"
    words = (
        f"{cell['mean']:.3f} [{fixed(cell['low'])}, {fixed(cell['high'])}] over {cell['items']} items and "
        f"{cell['sets']} sets"
    )
    return Cell(fixed(cell["mean"], 2), spread, background, colour, words, cell["mean"] == most)


def _gap(gap: Mapping[str, Any] | None) -> Cell:
    if gap is None:
        return Cell(MISSING, "", "transparent", "inherit", "its own, or not asked")
    is_sure = gap["low"] is not None and not gap["low"] <= 0 <= gap["high"]
    low, high = fixed(gap["low"], 2), fixed(gap["high"], 2)
    return Cell(
        f"{gap['mean']:+.2f}".replace("-", "−"),
        f"{low} to {high}",
        _colour(gap["mean"]),
        INK if abs(gap["mean"]) < MOST_GAP * 0.6 else "#ffffff",
        f"{signed(gap)} over {gap['items']} items and {gap['sets']} sets",
        is_sure,
    )


def _colour(gap: float) -> str:
    share = min(abs(gap) / MOST_GAP, 1.0)
    end = GAIN if gap > 0 else LOSS
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(PAPER, end, strict=True))


def language_section(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the macro `language_section` shows of one model."""
    return {
        "told": told,
        "accuracy": accuracy_map(told),
        "gaps": gap_map(told),
        "chance_outlines": expected_outlines(told),
        "gains": gain_rows(told),
        "best": best_rows(told),
    }
