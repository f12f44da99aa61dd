"""What a cube shows: cells with spread and intervals, gains paired over items and sets, best cells, transfer gaps.

Every cell is a table of sets of demonstrations x items. Its mean has the variance of the two-way random-effects model

    var = (max(MS_items, MS_rest) + max(MS_sets - MS_rest, 0)) / (sets x items)

and Satterthwaite's degrees of freedom, sets - 1 at least, so that neither new items nor new demonstrations would
surprise it. Gains are means of the difference of two such tables over the same items and set numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.evaluation.standard_errors import share_interval
from tasks.languages.cube import Cell, Cube
from tasks.languages.cube_scoring import Answered
from tasks.languages.parallel_items import in_fixed_order

CONFIDENCE = 0.95
Way = tuple[str, str | None, str, int]  # template, demonstrations, test, shots


@dataclass(frozen=True)
class Table:
    """right: sets x items, 1 where the answer is right. keys: of the items."""

    right: np.ndarray
    keys: tuple[str, ...]

    def only(self, keys: Sequence[str]) -> Table:
        at = [self.keys.index(key) for key in keys]
        return Table(self.right[:, at], tuple(keys))


def tables_of(answers: Sequence[Answered]) -> dict[Way, Table]:
    """Cell without its set -> its table."""
    by_way: dict[Way, dict[int, dict[str, bool]]] = {}
    for one in answers:
        cell = one.cell
        by_way.setdefault(cell[:4], {}).setdefault(cell.set_number, {})[one.key] = one.right
    found = {}
    for way, sets in by_way.items():
        keys = tuple(next(iter(sets.values())))
        found[way] = Table(np.array([[own[key] for key in keys] for own in sets.values()], float), keys)
    return found


def mean_over(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of (sets, items), its standard error and degrees of freedom; NaN for one item."""
    sets, items = values.shape
    mean = float(values.mean())
    if items < 2:
        return mean, math.nan, math.nan
    of_items = sets * float(values.mean(axis=0).var(ddof=1))
    if sets < 2:
        return mean, math.sqrt(of_items / items), items - 1
    of_sets = items * float(values.mean(axis=1).var(ddof=1))
    rest = values - values.mean(axis=0) - values.mean(axis=1)[:, None] + mean
    of_rest = float(np.square(rest).sum()) / ((sets - 1) * (items - 1))
    of_items = max(of_items, of_rest)  # what it is expected to be at least
    total, bound = of_items, of_items**2 / (items - 1)
    if of_sets > of_rest:
        total += of_sets - of_rest
        bound += of_sets**2 / (sets - 1)
    freedom = max(total**2 / bound, min(sets, items) - 1) if bound else items - 1
    return mean, math.sqrt(total / (sets * items)), freedom


def interval(values: np.ndarray, is_share: bool = False) -> dict[str, Any]:
    """{"mean", "spread", "low", "high", "items", "sets"}. spread: deviation over sets; None for one set.

    Where all values are equal, what was not met in n items is known to 3 in n at best: Wilson's interval of a share,
    and 3 / n on either side of a difference.
    """
    from scipy.stats import t

    sets, items = values.shape
    mean, error, freedom = mean_over(values)
    spread = float(values.mean(axis=1).std(ddof=1)) if sets > 1 else None
    if error == 0:
        low, high = (
            share_interval(mean * items, items, CONFIDENCE)
            if is_share
            else (mean - 3 / items, mean + 3 / items)
        )
    else:
        half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
        low, high = mean - half, mean + half
    low, high = max(low, 0.0 if is_share else -1.0), min(high, 1.0)
    bounds = {name: None if math.isnan(end) else end for name, end in (("low", low), ("high", high))}
    return {"mean": mean, "spread": spread, **bounds, "items": items, "sets": sets}


def results(cube: Cube, answers: Sequence[Answered]) -> dict[str, Any]:
    """{"cells", "gains", "gaps", "best", "chance"}; each a list of rows of JSON values."""
    tables = tables_of(answers)
    settings = cube.settings
    return {
        "cells": [_named(way) | interval(table.right, is_share=True) for way, table in tables.items()],
        "gains": _gains(tables, settings.high_resource),
        "gaps": _gaps(tables),
        "best": _best(tables),
        "chance": float(np.mean([1 / one.options for one in answers])),
    }


def _named(way: Way) -> dict[str, Any]:
    return dict(zip(Cell._fields, way, strict=False))


def difference(first: Table, second: Table) -> np.ndarray | None:
    """First less second over the items that both have, (sets, items); None where there are fewer than two.

    A table of one set against one of several stands for each of them.
    """
    keys = [key for key in first.keys if key in set(second.keys)]
    if len(keys) < 2:
        return None
    return first.only(keys).right - second.only(keys).right


def _gains(tables: Mapping[Way, Table], high: str) -> list[dict[str, Any]]:
    """Demonstrations in the high-resource language against the tested one's own: by language, and over all of them."""
    rows = []
    pooled: dict[tuple[str, int], list[tuple[np.ndarray, list[str]]]] = {}
    for (template, shown, test, shots), table in tables.items():
        own = tables.get((template, test, test, shots))
        if shown != high or test == high or own is None:
            continue
        found = difference(table, own)
        if found is not None:
            rows.append({"template": template, "test": test, "shots": shots, **interval(found)})
            keys = [key for key in table.keys if key in set(own.keys)]
            pooled.setdefault((template, shots), []).append((found, keys))
    for (template, shots), parts in pooled.items():
        common = [key for key in parts[0][1] if all(key in keys for _, keys in parts)]
        if len(parts) > 1 and len(common) > 1:
            # Translations of an item are no further items: an item counts once, with its mean over languages.
            mean = np.mean([d[:, [keys.index(key) for key in common]] for d, keys in parts], axis=0)
            rows.append(
                {
                    "template": template,
                    "test": None,
                    "shots": shots,
                    "languages": len(parts),
                    **interval(mean),
                }
            )
    return rows


def _gaps(tables: Mapping[Way, Table]) -> list[dict[str, Any]]:
    """Each demonstration language against the tested one's own, at the same template and shots."""
    rows = []
    for (template, shown, test, shots), table in tables.items():
        own = tables.get((template, test, test, shots))
        if shown is None or shown == test or own is None:
            continue
        found = difference(table, own)
        if found is not None:
            told = {"template": template, "demonstrations": shown, "test": test, "shots": shots}
            rows.append(told | interval(found))
    return rows


def _best(tables: Mapping[Way, Table]) -> list[dict[str, Any]]:
    """Of each tested language the best cell, chosen on half of the items and scored on the other half.

    over_plain: its gain there over no demonstrations in the first template, None where that was not asked.
    """
    rows = []
    for test in dict.fromkeys(way[2] for way in tables):
        own = {way: table for way, table in tables.items() if way[2] == test}
        keys = in_fixed_order(set(next(iter(own.values())).keys), "best")
        chosen_on, scored_on = keys[::2], keys[1::2]
        if len(own) < 2 or len(scored_on) < 2:
            continue
        best = max(own, key=lambda way: float(own[way].only(chosen_on).right.mean()))
        plain = next((way for way in own if way[3] == 0), None)
        gain = None if plain is None else difference(own[best].only(scored_on), own[plain].only(scored_on))
        rows.append(
            _named(best)
            | interval(own[best].only(scored_on).right, is_share=True)
            | {"of": len(own), "over_plain": None if gain is None or best == plain else interval(gain)}
        )
    return rows


def sentences(name: str, form: str, found: Mapping[str, Any], high: str) -> list[str]:
    """The finding in sentences."""
    cells = found["cells"]
    tests = {cell["test"] for cell in cells}
    said = [
        f"{name}: {form} in {len(tests)} languages, {len(cells)} cells, guessing has {found['chance']:.2f}; the mean "
        f"cell {np.mean([cell['mean'] for cell in cells]):.3f}."
    ]
    for row in found["gains"]:
        if row["test"] is None or len(tests - {high}) == 1:
            said.append(
                f"{row['shots']} demonstration{'s' * (row['shots'] > 1)} in {high} rather than in the tested language"
                + (f", mean over {row['languages']} languages" if row["test"] is None else "")
                + f", template {row['template']}: {row['mean']:+.3f} [{shown_bound(row['low'])}, "
                f"{shown_bound(row['high'])}]."
            )
    if told := no_gains(found["gains"], cells, high):
        said.append(told)
    return said


def no_gains(gains: Sequence[Any], cells: Sequence[Mapping[str, Any]], high: str) -> str:
    """Why nothing is said of demonstrations in the high-resource language; empty where there is, or none were shown."""
    if gains or not any(cell["shots"] for cell in cells):
        return ""
    return (
        f"No cells compare demonstrations in {high} with ones in the tested language: demonstration_languages needs "
        f"both, {high} and own, and another language that is tested."
    )


def shown_bound(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"
