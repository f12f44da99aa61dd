"""Fits ratings on benchmarks and validates the fit in every way that the tables allow: what `preference fit` tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.preference.association.guard import in_words, limits, refused_claims
from tasks.preference.engine.folds import scheme_named, schemes_possible
from tasks.preference.records import plain_value, records
from tasks.preference.sheets.joining import Paired, pair
from tasks.preference.validating import Validation, validate_pair
from tasks.tables.reading import Source

WORST_ALLOWED = 1.1


@dataclass(frozen=True)
class Fits:
    """validations: by scheme, see `validating.Validation`; refused: claims that the counts do not carry."""

    data: Paired
    validations: dict[str, Validation]
    limits: dict[str, Any]
    refused: list[dict[str, Any]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "models": self.data.models,
            "benchmarks": self.data.benchmarks,
            "targets": self.data.targets,
            "near_names": [{"scores": a, "ratings": b} for a, b in self.data.near],
            "limits": self.limits,
            "refused": [{**claim, "words": in_words(claim)} for claim in self.refused],
            "schemes": {
                scheme: {
                    "summary": plain_value(found.summary()),
                    "targets": records(found.table),
                    "predictions": records(found.cells.drop(columns=["half_width"])),
                    "weights": found.weights,
                }
                for scheme, found in self.validations.items()
            },
            "notes": self.notes,
        }


def fit_tables(
    scores: Source | Sequence[Source],
    ratings: Source,
    models: Source | None = None,
    *,
    methods: Sequence[str] = ("auto",),
    schemes: Sequence[str] = (),
    confidence: float = 0.9,
    random_seed: int = 0,
    **reading: Any,
) -> Fits:
    """Reads the tables (see `sheets.joining.pair`) and validates the methods; schemes: all possible when empty."""
    data = pair(scores, ratings, models, **reading)
    named = [scheme_named(scheme) for scheme in schemes] or schemes_possible(data)
    return fit_pair(data, methods, named, confidence, random_seed)


def fit_pair(
    data: Paired, methods: Sequence[str], schemes: Sequence[str], confidence: float, random_seed: int
) -> Fits:
    """`fit_tables` on tables that are joined already."""
    found = {scheme: validate_pair(data, methods, scheme, confidence, random_seed) for scheme in schemes}
    notes = list(data.notes)
    for scheme, validation in found.items():
        notes += _notes(scheme, validation)
    return Fits(data, found, limits(data), refused_claims(data, confidence=confidence), notes)


def _notes(scheme: str, validation: Validation) -> list[str]:
    notes = []
    table = validation.table
    auto = table[table["method"] == "auto"]
    fallen = auto[auto["fell_back"] > 0]
    if len(fallen):
        told = ", ".join(f"{r.target} ({r.fell_back:.0%} of the folds)" for r in fallen.itertuples())
        notes.append(
            f"{scheme}: auto fell back to a baseline, as nothing did better inside the fold: {told}."
        )
    bad = auto[auto["ratio"] > WORST_ALLOWED]
    if len(bad):
        told = ", ".join(f"{r.target} {r.ratio:.2f} (n = {r.n})" for r in bad.itertuples())
        notes.append(f"{scheme}: error more than 10% above the best baseline's: {told}.")
    return notes
