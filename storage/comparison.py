"""Two runs side by side: what was asked differently, and what came of it."""

from __future__ import annotations

import math
from typing import Any

from storage.home import Home
from storage.runs import summarise


def compare_runs(home: Home, first: dict, second: dict) -> dict[str, Any]:
    """{"first", "second", "settings": [...], "scores": [...], "weights": [...]} of two run records.

    settings: {setting, first, second} where they differ. scores: {model, task, metric, first, second,
    difference, stderr} for scores that both have; stderr is that of the difference as if the two were
    independent, which is too wide where both were scored on the same items. weights: {mixture, source, first,
    second}.
    """
    one, other = summarise(home, first), summarise(home, second)
    settings = [
        {"setting": name, "first": a, "second": b}
        for name, a, b in _paired(_flat(first["experiment"]), _flat(second["experiment"]))
        if a != b
    ]
    scores = []
    theirs = {(s["model"], s["task"], s["metric"]): s for s in other.scores}
    for score in one.scores:
        match = theirs.get((score["model"], score["task"], score["metric"]))
        if match is None:
            continue
        errors = (score["stderr"], match["stderr"])
        scores.append(
            {
                **{name: score[name] for name in ("model", "task", "metric")},
                "first": score["value"],
                "second": match["value"],
                "difference": match["value"] - score["value"],
                "stderr": None if None in errors else math.hypot(*errors),
            }
        )
    weights = [
        {"mixture": mixture, "source": source, "first": a, "second": b}
        for (mixture, source), a, b in _paired(_weights(one.mixtures), _weights(other.mixtures))
    ]
    return {
        "first": one.run_id,
        "second": other.run_id,
        "settings": settings,
        "scores": scores,
        "weights": weights,
    }


def _weights(mixtures: dict[str, dict]) -> dict[tuple[str, str], float]:
    return {
        (m, source): share["weight"] for m, shares in mixtures.items() for source, share in shares.items()
    }


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {k: v for name, part in value.items() for k, v in _flat(part, f"{prefix}{name}.").items()}
    return {prefix.removesuffix("."): value}


def _paired(first: dict, second: dict) -> list[tuple[Any, Any, Any]]:
    return [(key, first.get(key), second.get(key)) for key in dict.fromkeys([*first, *second])]
