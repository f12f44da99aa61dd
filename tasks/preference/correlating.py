"""Every benchmark against every category: coefficients, tests, structure, and what must not be concluded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from tasks.preference.association.guard import in_words, limits, refused_claims
from tasks.preference.association.pairs import pair_table
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
    """pairs: see `association.pairs.pair_table`; predictive: see `association.structure.predictive_benchmarks`.

    by_target: of each category benchmarks, models (fewest of a pair), share_positive, mean_r, and p_sign, the
    two-sided permutation p of mean_r over all its benchmarks. limits: what the number of models allows; refused:
    claims that it does not carry, each with the number needed.
    """

    pairs: pd.DataFrame
    predictive: pd.DataFrame
    by_target: pd.DataFrame
    spectrum: dict[str, Any]
    communities: Communities | None
    limits: dict[str, Any]
    refused: list[dict[str, Any]]
    models: list[str]
    near: list[tuple[str, str]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "models": self.models,
            "near_names": [{"scores": a, "ratings": b} for a, b in self.near],
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
    predictive, groups = predictive_benchmarks(data, random_seed, confidence), communities(data, random_seed)
    refused += refused_by_resampling(len(data.models), predictive, groups)
    table = pair_table(data, permutations, random_seed, overall)
    table = table.sort_values(["removed", "benchmark", "target", "statistic"], ignore_index=True)
    return Correlations(
        pairs=table,
        predictive=predictive,
        by_target=signs_by_target(data, permutations, random_seed),
        spectrum=spectrum(data, random_seed),
        communities=groups,
        limits=limits(data, level),
        refused=refused,
        models=data.models,
        near=data.near,
        notes=[*data.notes, *_notes(data, table)],
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
