"""A duel by language: which mixture serves languages with much, some and little text, paired by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from tasks.duels.mixtures.mixture_duel_results import Round, mean_interval
from tasks.evaluation.metrics import HELDOUT

CLASSES = ("high", "middle", "low")
ALL = "all"


def resource_classes(tokens: Mapping[str, int]) -> dict[str, str]:
    """Language -> high, middle or low: thirds of the languages by tokens, the most first, the middle the largest."""
    order = sorted(tokens, key=lambda code: (-tokens[code], code))
    ends = len(order) // 3
    return {
        code: CLASSES[0] if place < ends else CLASSES[2] if place >= len(order) - ends else CLASSES[1]
        for place, code in enumerate(order)
    }


def by_language(rounds: Iterable[Round], languages: Mapping[str, str]) -> pd.DataFrame:
    """One row a round and language at the largest budget: bits per byte of held-out text, a mean over its sources.

    languages: source -> language.
    """
    listed = list(rounds)
    largest = max(one.tokens for one in listed)
    rows = []
    for one in listed:
        own: dict[str, list[float]] = {}
        for score in one.scores:
            source = score["task"].removeprefix(HELDOUT)
            if score["task"].startswith(HELDOUT) and source in languages and one.tokens == largest:
                own.setdefault(languages[source], []).append(score["value"])
        rows += [
            {"regime": one.regime, "contender": one.contender, "seed": one.random_seed, "language": code}
            | {"bits_per_byte": float(np.mean(values))}
            for code, values in own.items()
        ]
    return pd.DataFrame(rows)


def language_findings(table: pd.DataFrame, classes: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """{"means", "differences", "winners"} of each regime, by language, by resource class and over all languages.

    A class counts its languages alike. A winner is the contender with the fewest bits per byte; over: those from which
    the 95% interval of its paired difference leaves out 0, each pair at 95%; alike: the others.
    """
    found: dict[str, list[dict[str, Any]]] = {"means": [], "differences": [], "winners": []}
    for regime, group in table.groupby("regime", sort=False):
        for kind, name, part in _parts(group, classes):
            values = (
                part.groupby(["contender", "seed"], sort=False)["bits_per_byte"].mean().unstack("contender")
            )
            place = {"regime": regime, "kind": kind, "name": name}
            means = {contender: mean_interval(values[contender].to_numpy(float)) for contender in values}
            found["means"] += [
                place | {"contender": contender, "mean": mean, "low": low, "high": high, "seeds": len(values)}
                for contender, (mean, low, high) in means.items()
            ]
            pairs: list[dict[str, Any]] = []
            for first, second in combinations(values, 2):
                mean, low, high = mean_interval((values[first] - values[second]).to_numpy(float))
                pairs.append(
                    place | {"first": first, "second": second, "mean": mean, "low": low, "high": high}
                )
            found["differences"] += pairs
            if kind != "language":
                best = min(means, key=lambda contender: means[contender][0])
                against = [pair for pair in pairs if best in (pair["first"], pair["second"])]
                over = [
                    pair["second"] if pair["first"] == best else pair["first"]
                    for pair in against
                    if pair["low"] is not None and not pair["low"] <= 0 <= pair["high"]
                ]
                alike = [name for name in means if name != best and name not in over]
                found["winners"].append(place | {"contender": best, "over": over, "alike": alike})
    return found


def winner_sentences(found: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """ "Languages with little text: unimax has the fewest bits per byte, 2.13; ..."."""
    words = {"high": "with most text", "middle": "in the middle", "low": "with least text"}
    said = []
    for winner in found["winners"]:
        means = {
            row["contender"]: row["mean"]
            for row in found["means"]
            if (row["regime"], row["kind"], row["name"]) == (winner["regime"], winner["kind"], winner["name"])
        }
        others = ", ".join(
            f"{name} {mean:.3f}" for name, mean in means.items() if name != winner["contender"]
        )
        which = words.get(winner["name"], "all together")
        sure = f"; not distinguishable from {', '.join(winner['alike'])}" if winner["alike"] else ""
        said.append(
            f"{winner['regime']}, languages {which}: {winner['contender']} has the fewest bits per byte, "
            f"{means[winner['contender']]:.3f} ({others}){sure}."
        )
    return said


def _parts(group: pd.DataFrame, classes: Mapping[str, str]) -> Iterable[tuple[str, str, pd.DataFrame]]:
    yield "class", ALL, group
    for name in CLASSES:
        part = group[group["language"].map(dict(classes)) == name]
        if len(part):
            yield "class", name, part
    for code in sorted(set(group["language"]), key=lambda code: (CLASSES.index(classes[code]), code)):
        yield "language", code, group[group["language"] == code]
