"""Tables of what was mixed: bars by source, what the solver certifies, and whether experts are experts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from storage.artifact import Artifact
from tasks.evaluation.metrics import HELDOUT
from tasks.report.differences import Score
from tasks.report.formatting import (
    MISSING,
    compact,
    epochs,
    fixed,
    is_number,
    listed,
    share,
    significant,
    with_error,
)
from tasks.report.pictures.colours import Look


@dataclass(frozen=True)
class Bar:
    """A bar of a given part of the whole width, and what stands beside it."""

    part: float
    text: str
    small: str
    is_marked: bool = False


@dataclass(frozen=True)
class MixtureBars:
    """columns: (mixture, colour, tokens); rows: source, a bar a mixture, and its epochs along the lineage."""

    columns: list[tuple[str, str, str]]
    rows: list[tuple[str, list[Bar], Bar | None]]
    cap: str


def read_certificate(mixture: Artifact) -> dict[str, Any]:
    """What the solver says of the mixture; empty where it said nothing."""
    path = mixture.path / "mixture.json"
    return json.loads(path.read_text(encoding="utf-8")).get("certificate", {}) if path.is_file() else {}


def mixture_bars(
    mixtures: Mapping[str, Artifact],
    certificates: Mapping[str, dict],
    looks: Mapping[str, Look],
    order: Iterable[str],
) -> MixtureBars:
    """Bars of all mixtures, with the sources in the given order.

    Epochs along the lineage are those of the last mixture, which counts all before it.
    """
    shares = {name: artifact.facts["mixture"]["sources"] for name, artifact in mixtures.items()}
    last = list(certificates.values())[-1] if certificates else {}
    lineage, cap = last.get("lineage_epochs", {}), last.get("epoch_cap")
    columns = [
        (name, looks[name].colour, compact(sum(cell["tokens"] for cell in sources.values())))
        for name, sources in shares.items()
    ]
    rows = []
    for source in dict.fromkeys((*order, *(name for sources in shares.values() for name in sources))):
        bars = [_bar(sources.get(source), source, mixtures[name]) for name, sources in shares.items()]
        read = lineage.get(source)
        along = None
        if is_number(read) and is_number(cap) and cap > 0:
            along = Bar(min(read / cap, 1.0), epochs(read), "at the cap" if read >= 0.999 * cap else "")
        rows.append((source, bars, along))
    return MixtureBars(columns, rows, epochs(cap) if is_number(cap) else "")


def _bar(cell: dict | None, source: str, mixture: Artifact) -> Bar:
    if cell is None:
        return Bar(0, MISSING, "")
    is_trained = "tokens" in cell and cell["tokens"] > 0
    return Bar(cell["weight"], share(cell["weight"]), f"{epochs(cell['epochs'])} ep" if is_trained else "")


def certificate_rows(mixtures: Mapping[str, Artifact], certificates: Mapping[str, dict]) -> list[dict]:
    """One row a mixture: how it was found and how concentrated it is."""
    rows = []
    for name, artifact in mixtures.items():
        told = certificates.get(name, {})
        lineage = {k: v for k, v in told.get("lineage_epochs", {}).items() if is_number(v)}
        most = max(lineage, key=lambda source: lineage[source]) if lineage else None
        wanted = told.get("effective_sources_wanted")
        rows.append(
            {
                "name": name,
                "method": told.get("method", MISSING),
                "own_tasks": listed(list(artifact.facts.get("own_tasks") or ["all tasks"]), 3),
                "tokens": compact(artifact.facts.get("budget")),
                "effective": significant(told.get("effective_sources")),
                "wanted": f"{significant(wanted)} wanted" if wanted else "",
                "objective": significant(told.get("objective")),
                "risk": significant(told.get("risk")),
                "gap": significant(told.get("gap"), 1),
                "replay": share(told["replay_share"]) if is_number(told.get("replay_share")) else MISSING,
                "admitted": listed(told.get("admitted", []), 4) if "admitted" in told else MISSING,
                "most_read": f"{epochs(lineage[most])} {most}" if most else MISSING,
                "at_cap": listed(told.get("binding", []), 4) if told.get("binding") else "none",
            }
        )
    return rows


def specialisation_rows(
    rows: list[dict], scores: Mapping[str, Mapping[tuple[str, str], Score]]
) -> list[dict]:
    """One row a check; a value or bound that is a score of the run is shown with its error."""
    return [
        {
            "subject": row["subject"],
            "check": row["check"],
            "value": _checked(row["value"], scores.get(row["subject"], {})),
            "bound": _checked(row["bound"], scores.get("seed", {})),
            "holds": bool(row["holds"]),
        }
        for row in rows
    ]


def _checked(value: float, scores: Mapping[tuple[str, str], Score]) -> str:
    for (task, _), score in scores.items():
        if task.startswith(HELDOUT) and score.value == value:
            return with_error(value, score.stderr)
    return fixed(value)
