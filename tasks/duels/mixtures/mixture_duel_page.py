"""The page of a duel: one HTML file with its tables and pictures inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tasks.duels.mixtures.mixture_duel_results import ASCENDING, CONFIDENCE
from tasks.duels.mixtures.settings import MEASURES, DuelSettings
from tasks.report.formatting import compact, with_interval
from tasks.report.pictures.colours import looks
from tasks.report.pictures.ladders import draw_ladder
from tasks.report.templating import page_environment, page_style


def write_duel_page(
    path: Path, title: str, duel: DuelSettings, table: pd.DataFrame, found: dict[str, Any]
) -> None:
    """Write the page to `path`.

    table: as `results.measured` gives it. found: means, differences, speedups and mixtures.
    """
    page = (
        page_environment(Path(__file__).parent)
        .get_template("duel.html")
        .render(
            title=title,
            style=page_style(),
            confidence=f"{CONFIDENCE:.0%}",
            seeds=duel.seeds,
            junk=list(duel.junk_sources),
            measures={name: label for name, label in MEASURES.items() if table[name].notna().any()},
            answer=found["answer"],
            regimes=[_regime(regime.name, table, found) for regime in duel.regimes],
        )
    )
    path.write_text(page, encoding="utf-8")


def _regime(regime: str, table: pd.DataFrame, found: dict[str, Any]) -> dict[str, Any]:
    runs = table[table["regime"] == regime]
    contenders = list(dict.fromkeys(runs["contender"]))
    styles = looks(dict.fromkeys(contenders, "expert"))
    largest = int(runs["tokens"].max())
    of = {
        name: [row for row in found[name] if row["regime"] == regime]
        for name in ("means", "differences", "speedups")
    }
    return {
        "name": regime,
        "tokens": compact(largest),
        "pictures": [
            draw_ladder(
                runs, name, f"{label} ({'higher' if name in ASCENDING else 'lower'} is better)", styles
            )
            for name, label in MEASURES.items()
            if runs[name].notna().any()
        ],
        "means": [
            {
                "contender": contender,
                "cells": [with_interval(_row(of["means"], contender, largest, name)) for name in MEASURES],
            }
            for contender in contenders
        ],
        "differences": _by_pair(of["differences"]),
        "budgets": [compact(tokens) for tokens in sorted(set(runs["tokens"]))],
        "speedups": _by_budget(of["speedups"]),
        "contenders": contenders,
        "mixture": _mixture(found["mixtures"][regime]),
        "languages": _languages(regime, contenders, found),
    }


def speedup_text(by_seed: list[list[Any]]) -> str:
    """The seeds' speedups from the smallest on, with > and < where only a bound is known."""
    order = {"<": -1, "=": 0, ">": 1}
    ranked = sorted(by_seed, key=lambda entry: (order[entry[1]], entry[0]))
    return ", ".join(f"{'' if side == '=' else side}{value:.2f}" for value, side in ranked)


def _row(rows: list[dict], contender: str, tokens: int, measure: str) -> dict:
    return next(
        row
        for row in rows
        if (row["contender"], row["tokens"], row["measure"]) == (contender, tokens, measure)
    )


def _by_pair(rows: list[dict]) -> list[dict]:
    pairs: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        pairs.setdefault((row["champion"], row["other"]), {})[row["measure"]] = with_interval(row)
    return [
        {"pair": f"{champion} over {other}", "cells": [cells[name] for name in MEASURES]}
        for (champion, other), cells in pairs.items()
    ]


def _by_budget(rows: list[dict]) -> list[dict]:
    """One row a pair and measure, one cell a budget."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        cells = found.setdefault((row["champion"], row["other"], row["measure"]), [])
        cells.append(speedup_text(row["by_seed"]))
    return [
        {"pair": f"{champion} over {other}", "measure": MEASURES[measure], "cells": cells}
        for (champion, other, measure), cells in found.items()
    ]


def _mixture(mixtures: dict[str, dict[str, dict]]) -> list[dict]:
    """One row a source: weight and epochs by contender."""
    sources = sorted({source for shares in mixtures.values() for source in shares})
    return [
        {
            "source": source,
            "cells": [
                f"{shares[source]['weight']:.3f} ({shares[source]['epochs']:.2g})"
                for shares in mixtures.values()
            ],
        }
        for source in sources
    ]


def _languages(regime: str, contenders: list[str], found: dict[str, Any]) -> dict[str, list[dict]]:
    """Bits per byte by class and by language, and differences of each class; empty where no source has a language."""
    told = found.get("languages", {"means": [], "differences": []})
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in told["means"]:
        if row["regime"] == regime:
            rows.setdefault((row["kind"], row["name"]), {})[row["contender"]] = with_interval(row)
    return {
        "means": [
            {
                "name": f"{name} ({found['classes'][name]})" if kind == "language" else name,
                "is_class": kind == "class",
                "cells": [cells.get(contender, "–") for contender in contenders],
            }
            for (kind, name), cells in rows.items()
        ],
        "differences": [
            {
                "name": row["name"],
                "pair": f"{row['first']} less {row['second']}",
                "difference": with_interval(row),
            }
            for row in told["differences"]
            if row["regime"] == regime and row["kind"] == "class"
        ],
    }
