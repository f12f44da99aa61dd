"""Every benchmark against every category: coefficients, tests, structure, and what must not be concluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from tasks.preference.association.guard import in_words, limits, refused_claims
from tasks.preference.association.pairs import GuardedPairs, guarded_pairs
from tasks.preference.association.structure import (
    Communities,
    communities,
    predictive_benchmarks,
    refused_by_resampling,
    signs_by_target,
    spectrum,
)
from tasks.preference.records import records
from tasks.preference.sheets.joining import Paired, pair
from tasks.tables.reading import Source


@dataclass(frozen=True)
class Correlations:
    """pairs: see `association.pairs.GuardedPairs`; predictive: see `association.structure.predictive_benchmarks`.

    by_target: see `association.structure.signs_by_target`. Both have two-sided p of their mean r over permuted models,
    and p_family_wise. guard: what the family-wise p are over, and how often anything holds among unrelated figures.
    limits: what the number of models allows; refused: claims that it does not carry, each with the number needed.
    """

    pairs: pd.DataFrame
    predictive: pd.DataFrame
    by_target: pd.DataFrame
    spectrum: dict[str, Any]
    communities: Communities | None
    guard: dict[str, Any]
    limits: dict[str, Any]
    refused: list[dict[str, Any]]
    models: list[str]
    near: list[tuple[str, str]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "models": self.models,
            "near_names": [{"scores": a, "ratings": b} for a, b in self.near],
            "guard": self.guard,
            "limits": self.limits,
            "refused": [*({**claim, "words": in_words(claim)} for claim in self.refused)],
            "pairs": records(self.pairs),
            "predictive": records(self.predictive),
            "by_target": records(self.by_target),
            "spectrum": self.spectrum,
            "communities": None if self.communities is None else asdict(self.communities),
            "notes": self.notes,
        }


def correlate(
    scores: Source | Sequence[Source],
    ratings: Source,
    models: Source | None = None,
    *,
    permutations: int = 2000,
    confidence: float = 0.9,
    level: float = 0.05,
    overall: str | None = None,
    random_seed: int = 0,
    **reading: Any,
) -> Correlations:
    """Correlates tables of models x benchmarks with tables of models x categories (files or DataFrames).

    models: family, params_b and date by model. permutations: random orders for p-values where not all are
    gone through. overall: the category that is the general factor; None: the mean of the others. level: of
    the tests in `limits` and `refused`. `reading`: see `sheets.joining.pair`.
    """
    if permutations < 99:
        raise ValueError(f"permutations={permutations}: at least 99 are needed")
    if not 0.5 <= confidence < 1 or not 0 < level < 1:
        raise ValueError(
            f"confidence={confidence:g}, level={level:g}: must be in [0.5, 1) and between 0 and 1"
        )
    data = pair(scores, ratings, models, **reading)
    return correlate_pair(data, permutations, confidence, level, overall, random_seed)


def correlate_pair(
    data: Paired, permutations: int, confidence: float, level: float, overall: str | None, random_seed: int
) -> Correlations:
    """`correlate` on tables that are joined already."""
    refused = refused_claims(data, level, confidence)
    tested = guarded_pairs(data, permutations, random_seed, overall)
    predictive, groups = predictive_benchmarks(data, random_seed, confidence), communities(data, random_seed)
    refused += refused_by_resampling(len(data.models), predictive, groups)
    table = tested.pairs.sort_values(["removed", "benchmark", "target", "statistic"], ignore_index=True)
    sides = tested.benchmarks, tested.targets
    holds = int(sum((part["p_family_wise"] <= level).sum() for part in (table, *sides)))
    return Correlations(
        pairs=table,
        predictive=predictive.merge(sides[0].rename(columns={"name": "benchmark"}), on="benchmark"),
        by_target=signs_by_target(data).merge(sides[1].rename(columns={"name": "target"}), on="target"),
        spectrum=_guarded(spectrum(data, random_seed), holds),
        communities=groups,
        guard=_guard(tested, level, holds),
        limits=limits(data, level),
        refused=refused,
        models=data.models,
        near=data.near,
        notes=[*data.notes, *_notes(data, table)],
    )


def _guarded(told: dict[str, Any], holds: int) -> dict[str, Any]:
    """Components are counted only where the guard lets anything be said: unrelated figures have none."""
    return told if holds else {**told, "above_chance": 0}


def _guard(tested: GuardedPairs, level: float, holds: int) -> dict[str, Any]:
    parts = [name for name in dict.fromkeys(tested.pairs["removed"]) if name]
    told = {
        "tests": tested.count,
        "hold": holds,
        "orders": tested.orders,
        "all_orders": tested.exact,
        "level": level,
        "removed": parts,
    }
    return {**told, "words": guard_words(told)}


def guard_words(told: Mapping[str, Any]) -> str:
    """What the guard covers, in two sentences."""
    parts = told["removed"]
    ways = f", as they are and without {' or '.join(parts)}" if parts else ""
    nearly = " (nearly, as p without a part are approximate)" if parts else ""
    return (
        f"{told['hold']} of {told['tests']} tests hold under one guard over all of them: every benchmark with every "
        f"category by Pearson, Spearman and Kendall{ways}, and the mean r of each benchmark and category. Among "
        f"unrelated figures any test holds in at most {told['level']:.0%} of such tables{nearly}. Intervals are of "
        "each alone."
    )


def _notes(data: Paired, table: pd.DataFrame) -> list[str]:
    notes = []
    removed = set(table["removed"])
    if "log parameters" not in removed:
        notes.append("Scale was not removed: fewer than four models with figures state their parameters.")
    if "general factor" not in removed:
        notes.append("The general factor was not removed: that needs two categories or more.")
    thin = table[(table["removed"] == "") & (table["statistic"] == "pearson") & (table["missing"] > 0)]
    if len(thin):
        notes.append(
            f"{len(thin)} pairs lack figures of some of the {len(data.models)} shared models; each counts "
            f"those with both, {int(thin['n'].min())} at the fewest."
        )
    return notes
