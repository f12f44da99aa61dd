"""The page of a ladder: one HTML file with its tables and pictures inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.duels.efficiency.efficiency_results import BENCHMARK, INSIDE, OUTSIDE
from tasks.duels.efficiency.settings import EfficiencySettings
from tasks.duels.efficiency.speedups import CONFIDENCE
from tasks.report.formatting import compact, fixed, significant
from tasks.report.pictures.compute_ladders import draw_compute_ladder
from tasks.report.routing_tables import layer_rows, source_rows
from tasks.report.templating import page_environment, page_style

TITLES = {INSIDE: "In domain", OUTSIDE: "Out of domain", BENCHMARK: "Benchmarks"}
UNITS = {"bits_per_byte": "bits per byte", "acc": "accuracy", "acc_norm": "accuracy, by length"}


def write_efficiency_page(
    path: Path,
    title: str,
    settings: EfficiencySettings,
    table: pd.DataFrame,
    found: Mapping[str, Any],
    said: Sequence[str],
) -> None:
    """Write the page to `path`. table, found: as of the stage. said: the finding in sentences."""
    page = page_environment(Path(__file__).parent).get_template("efficiency.html")
    path.write_text(
        page.render(
            title=title,
            style=page_style(),
            said=said,
            seeds=settings.seeds,
            confidence=f"{CONFIDENCE:.0%}",
            sizes=[
                (
                    family,
                    compact(told["parameters"]),
                    compact(told["active_parameters"]),
                    significant(found["costs"][family]),
                )
                for family, told in found["sizes"].items()
            ],
            kinds=[_kind(kind, table, found) for kind in TITLES if (table["kind"] == kind).any()],
            routing=[
                (name, layer_rows({"routing": told}), source_rows({"routing": told}))
                for name, told in found["routing"].items()
            ],
        ),
        encoding="utf-8",
    )


def band(row: Mapping[str, Any]) -> str:
    """ "1.52 [1.31, 1.70]"; without a band where it is refused."""
    if row["low"] is None:
        return f"{fixed(row['speedup'], 2)} (no band)"
    return f"{fixed(row['speedup'], 2)} [{fixed(row['low'], 2)}, {fixed(row['high'], 2)}]"


def _kind(kind: str, table: pd.DataFrame, found: Mapping[str, Any]) -> dict[str, Any]:
    of_kind = table[table["kind"] == kind]
    measures = list(dict.fromkeys(zip(of_kind["measure"], of_kind["metric"], strict=True)))
    return {
        "title": TITLES[kind],
        "pictures": [
            draw_compute_ladder(
                of_kind[(of_kind["measure"] == measure) & (of_kind["metric"] == metric)],
                measure,
                UNITS.get(metric, metric),
            )
            for measure, metric in measures
        ],
        "speedups": [
            {
                "measure": row["measure"],
                "metric": UNITS.get(row["metric"], row["metric"]),
                "level": fixed(row["level"]),
                "speedup": row["why"] if row["speedup"] is None else band(row),
                "flops": significant(row["moe_flops"]),
            }
            for row in found["speedups"]
            if row["kind"] == kind
        ],
        "means": [
            {
                "measure": row["measure"],
                "metric": UNITS.get(row["metric"], row["metric"]),
                "family": row["family"],
                "flops": significant(row["flops"]),
                "tokens": compact(row["tokens"]),
                "mean": fixed(row["mean"]),
                "spread": fixed(row["spread"]),
            }
            for row in found["means"]
            if row["kind"] == kind
        ],
    }
