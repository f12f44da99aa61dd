"""Two run records side by side: what was asked differently, and which mixtures came of it."""

from __future__ import annotations

from typing import Any

from storage.home import Home
from storage.runs import summarise
from storage.shown_numbers import flat


def compare_records(home: Home, first: dict, second: dict) -> dict[str, Any]:
    """{"first", "second", "settings": [...], "weights": [...]} of two run records.

    settings: {setting, first, second} where they differ. weights: {mixture, source, first, second}.
    """
    one, other = summarise(home, first), summarise(home, second)
    settings = [
        {"setting": name, "first": a, "second": b}
        for name, a, b in _paired(flat(first["experiment"]), flat(second["experiment"]))
        if a != b
    ]
    weights = [
        {"mixture": mixture, "source": source, "first": a, "second": b}
        for (mixture, source), a, b in _paired(_weights(one.mixtures), _weights(other.mixtures))
    ]
    return {"first": one.run_id, "second": other.run_id, "settings": settings, "weights": weights}


def _weights(mixtures: dict[str, dict]) -> dict[tuple[str, str], float]:
    return {
        (m, source): share["weight"] for m, shares in mixtures.items() for source, share in shares.items()
    }


def _paired(first: dict, second: dict) -> list[tuple[Any, Any, Any]]:
    return [(key, first.get(key), second.get(key)) for key in dict.fromkeys([*first, *second])]
