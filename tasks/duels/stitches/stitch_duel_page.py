"""The page of a duel of ways to combine experts: one HTML file with its tables and pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.duels.mixtures.mixture_duel_results import CONFIDENCE
from tasks.duels.stitches.probes import SWITCHING
from tasks.duels.stitches.settings import AVERAGE, StitchDuelSettings
from tasks.duels.stitches.stitch_duel_results import CROSS, CROSS_BITS
from tasks.report.formatting import MISSING, compact, duration, fixed, percent, with_interval
from tasks.report.pictures.drawing import Picture
from tasks.report.pictures.kept_gains import draw_bits_against_cost, draw_kept
from tasks.report.templating import page_environment, page_style

LABELS = {
    AVERAGE: "average",
    SWITCHING: "switching",
    CROSS: "cross-capability accuracy",
    CROSS_BITS: "cross-capability bits",
}
COSTS = {
    "trained": "trained",
    "total": "all weights",
    "active": "active",
    "flops_per_token": "FLOPs a token",
    "peak_mb": "peak MB",
    "tokens_per_second": "tokens/s",
    "generated_per_second": "generated/s",
}


def write_stitch_duel_page(
    path: Path, title: str, duel: StitchDuelSettings, domains: dict[str, list[str]], found: dict[str, Any]
) -> None:
    """Write the page to `path`. found: means, gains, kept, differences, ranks and costs, as of the stage."""
    page = page_environment(Path(__file__).parent).get_template("stitch_duel.html")
    path.write_text(
        page.render(
            title=title,
            style=page_style(),
            confidence=f"{CONFIDENCE:.0%}",
            seeds=duel.seeds,
            num_variants=len(duel.variants),
            domains="; ".join(f"{name}: {', '.join(sources)}" for name, sources in domains.items()),
            gains={
                "head": ["expert", "better on its own domain by"],
                "rows": [[row["expert"], _share(row)] for row in found["gains"]],
            },
            kept=_kept(found["kept"]),
            scores=_scores(found, list(domains)),
            differences=_differences(found["differences"]),
            costs={
                "head": ["model", *COSTS.values()],
                "rows": [
                    [model, *(compact(cost[name]) for name in COSTS)]
                    for model, cost in found["costs"].items()
                ],
            },
            changes=_changes(found["changes"], list(domains)),
            kept_picture=draw_kept(found["kept"]),
            cost_picture=_cost_picture(found),
        ),
        encoding="utf-8",
    )


def _kept(rows: Sequence[dict]) -> dict[str, Any]:
    experts = list(dict.fromkeys(row["expert"] for row in rows))
    of = {(row["model"], row["expert"]): row for row in rows}
    models = sorted(dict.fromkeys(row["model"] for row in rows), key=lambda m: -of[m, "mean"]["mean"])
    return {
        "head": ["model", *experts],
        "rows": [[model, *(_share(of[model, expert]) for expert in experts)] for model in models],
    }


def _scores(found: dict[str, Any], domains: Sequence[str]) -> dict[str, Any]:
    measures = [AVERAGE, *domains, SWITCHING, CROSS, CROSS_BITS]
    of = {(row["model"], row["measure"]): row for row in found["means"]}
    return {
        "head": ["model", *(LABELS.get(name, name) for name in measures)],
        "rows": [
            [row["model"], *(with_interval(of[row["model"], name]) for name in measures)]
            for row in found["ranks"]
        ],
    }


def _differences(rows: Sequence[dict]) -> dict[str, Any]:
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    pairs: dict[str, dict[str, str]] = {}
    for row in rows:
        pairs.setdefault(f"{row['champion']} over {row['other']}", {})[row["measure"]] = with_interval(row)
    return {
        "head": ["of", *(LABELS[name] for name in measures)],
        "rows": [[pair, *(cells.get(name, MISSING) for name in measures)] for pair, cells in pairs.items()],
    }


def _cost_picture(found: dict[str, Any]) -> Picture | None:
    if not found["costs"]:
        return None
    bits = {row["model"]: row[AVERAGE] for row in found["ranks"]}
    return draw_bits_against_cost(
        bits, {model: cost["flops_per_token"] for model, cost in found["costs"].items()}
    )


def _changes(rows: Sequence[dict], domains: Sequence[str]) -> dict[str, Any]:
    measures = [AVERAGE, *domains]
    return {
        "head": ["expert and change", "seconds of training", *(LABELS.get(name, name) for name in measures)],
        "rows": [
            [
                f"{row['expert']} {row['change']}",
                duration(row["seconds"]) if row["seconds"] else "none",
                *(fixed(row[name]) for name in measures),
            ]
            for row in rows
        ],
    }


def _share(row: dict) -> str:
    if row["low"] is None:
        return percent(row["mean"], 1)
    return f"{percent(row['mean'], 1)} [{fixed(100 * row['low'], 1)}, {fixed(100 * row['high'], 1)}]"
