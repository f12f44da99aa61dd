"""Printing of what `mixstitch evaluate` found: scores, differences from the first model, where asking ended."""

from __future__ import annotations

from typing import Any

from flows.commands.console import NOTHING, interval, number, show_rows


def print_compared(found: dict[str, Any]) -> None:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    counts: dict[tuple[str, str], list[int]] = {}
    for one in found["scores"]:
        counts.setdefault((one["task"], one["metric"]), []).append(one["n"])
    items = {key: " to ".join(map(str, sorted({min(of), max(of)}))) for key, of in counts.items()}
    for one in found["scores"]:
        row = rows.setdefault(
            (one["task"], one["metric"]),
            {
                "task": one["task"],
                "metric": one["metric"],
                "items": items[one["task"], one["metric"]],
                "guess": number(one["guess"], 3),
            },
        )
        row[one["model"]] = f"{number(one['value'], 3)} [{interval((one['low'], one['high']), 3)}]"
    models = dict.fromkeys(one["model"] for one in found["scores"])
    shown = [{**row, **{name: row.get(name, NOTHING) for name in models}} for row in rows.values()]
    show_rows("scores [95% interval]; bits per byte: lower is better", shown, models)
    gains = [
        {
            "task": one["task"],
            "metric": one["metric"],
            "model": one["model"],
            "difference": f"{one['difference']:+.3f} [{interval((one['low'], one['high']), 3)}]",
            "items": one["n"],
            "paired": one["paired"],
        }
        for one in found["differences"]
    ]
    if gains:
        first = found["differences"][0]["against"]
        show_rows(f"differences from {first} [95% interval], paired over items", gains)
    stops = [
        {
            "task": one["task"],
            "model": one["model"] if one["against"] is None else f"{one['model']} against {one['against']}",
            "items": f"{one['asked']:,} of {one['of']:,}",
            "metric": NOTHING if one["metric"] is None else one["metric"],
            "95% at every look": NOTHING if one["low"] is None else interval((one["low"], one["high"]), 3),
            "stopped because": one["because"],
        }
        for one in found.get("enough", ())
    ]
    if stops:
        of = {
            "benchmark": "the score on all items of the benchmark",
            "population": "the mean over items like these",
        }
        show_rows(f"where asking ended; intervals are of {of[found['enough'][0]['about']]}", stops)
