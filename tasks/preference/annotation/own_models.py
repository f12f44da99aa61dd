"""Programmatic ratings of a run's own models by category, and their join with what the run measured of them.

A rating is the `score` of `aggregating`: the share of comparisons with the other models that the model won, a tie
being half a win. Elo is of no use here: small models miss nearly every item, and where all that is decided went one
way (one item of 60 that half the models got right) Bradley-Terry puts them as far apart as its prior lets it, 1,600
points. Intervals are over documents, with all the prompts that are from one; the rule is not drawn from anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.evaluation.metrics import BITS_PER_BYTE, HELDOUT
from tasks.evaluation.snapshot_names import trained_model
from tasks.preference.annotation.aggregating import aggregate
from tasks.preference.annotation.judgements import Judgements
from tasks.preference.annotation.programmatic import PROGRAMMATIC, annotate, choices_table
from tasks.preference.records import records
from tasks.preference.settings import PreferenceSettings
from tasks.preference.sheets.figures import standard_error
from tasks.preference.sheets.joining import MIN_MODELS, Paired, pair
from tasks.preference.study import study

UNIT = "share of comparisons won by rule, a tie is half a win"
ONE_SEED = (
    "All models of a run descend from one seed, though each trained model counts as a family of its own: intervals by "
    "family are too narrow."
)
RATING_COLUMNS = ["model", "category", "rating", "low", "high"]
Scores = Mapping[str, Sequence[Mapping[str, Any]]]
Tasks = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Rated:
    """judgements: what the rules chose. ratings: model, category, rating, low, high. notes: plain sentences."""

    judgements: Judgements
    ratings: pd.DataFrame
    notes: list[str]


def study_responses(
    folder: Path,
    responses: pd.DataFrame,
    scores: Scores,
    tasks: Tasks,
    settings: PreferenceSettings,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes choices.parquet and the study into `folder`; returns the facts, which say what was not to be had.

    responses: of all models, with the columns of `responding.COLUMNS`. scores, tasks: see `join_scores`. notes: on the
    prompts. Facts: ratings, items_by_category, items_read_by_bits_per_byte, studied (whether there is a study), notes.
    """
    both = read_by_both(responses, scores)
    items = responses.groupby("category", sort=False)["item"].nunique()
    facts: dict[str, Any] = {
        "ratings": [],
        "items_by_category": {str(category): int(count) for category, count in items.items()},
        "items_read_by_bits_per_byte": both,
        "studied": False,
    }
    told = [*notes, *_on_documents(facts["items_by_category"], both)]
    answered = responses["model"].nunique()
    if answered < 2:
        told.append(f"Models that answered prompts: {answered}; at least 2 are needed to compare them.")
        return facts | {"notes": told}
    rated = rate(responses, settings.confidence, settings.random_seed)
    choices_table(rated.judgements).to_parquet(folder / "choices.parquet", index=False)
    facts["ratings"] = records(rated.ratings)
    paired, more = join_scores(rated.ratings, scores, tasks, settings.confidence)
    told += [*rated.notes, *more]
    if paired is None:
        return facts | {"notes": told}
    counted = {name: facts[name] for name in ("items_by_category", "items_read_by_bits_per_byte")}
    about = {"origin": PROGRAMMATIC, "unit": UNIT, **counted}
    told.append(ONE_SEED)
    found = study(replace(paired, notes=[*told, *paired.notes]), settings, about)
    found.save(folder)
    return facts | {"studied": True, "notes": list(found.notes)}


def _on_documents(items: Mapping[str, int], both: Mapping[str, int]) -> list[str]:
    told = [f"{category} ({count} of {items[category]})" for category, count in both.items() if count]
    if not told:
        return []
    return [f"Prompts from documents that bits per byte reads too: {', '.join(told)}."]


def rate(responses: pd.DataFrame, confidence: float, random_seed: int) -> Rated:
    """Ratings of all models that answered, by category; responses as `programmatic.annotate` takes them.

    Where they have the column document, intervals are over documents and not over the prompts that are from them.
    Raises ValueError where fewer than two models answered.
    """
    judgements = annotate(responses)
    found = aggregate(judgements, confidence=confidence, random_seed=random_seed, elo=False)
    rows = found.ratings[found.ratings["level"] == "category"].rename(
        columns={"score": "rating", "score_low_by_items": "low", "score_high_by_items": "high"}
    )
    return Rated(judgements, rows[RATING_COLUMNS].reset_index(drop=True), found.notes)


def join_scores(
    ratings: pd.DataFrame, scores: Scores, tasks: Tasks, confidence: float
) -> tuple[Paired | None, list[str]]:
    """The ratings beside the run's scores by model, and notes; None where they do not make a table to learn from.

    scores: score rows by model. tasks: facts of the corpus's tasks, whose metrics are taken; of held-out text bits per
    byte. Three models must have both; figures that do not vary over them are left out. A snapshot is of the family of
    the model that it is a snapshot of.
    """
    figures = pd.DataFrame(_figures(scores, tasks), columns=["model", "benchmark", "value", "value_se"])
    shared = sorted(set(ratings["model"]) & set(figures["model"]))
    if len(shared) < MIN_MODELS:
        return None, [
            f"Models with programmatic ratings and scores: {len(shared)}; at least {MIN_MODELS} are needed to study "
            "how these go together."
        ]
    figures, notes = _varying(figures, "benchmark", "value", shared)
    kept, more = _varying(ratings, "category", "rating", shared)
    notes += more
    if figures.empty or kept.empty:
        notes.append("Nothing is left to study: scores and programmatic ratings must both vary.")
        return None, notes
    errors = standard_error(kept["low"], kept["high"], confidence)
    kept = kept.assign(rating_se=errors).drop(columns=["low", "high"])
    names = sorted({*ratings["model"], *figures["model"]})
    families = pd.DataFrame({"model": names, "family": [trained_model(name) for name in names]})
    return pair(figures, kept, families), notes


def read_by_both(responses: pd.DataFrame, scores: Scores) -> dict[str, int]:
    """By category the prompts from documents that bits per byte read too: the first ones of the source.

    responses: with the column document, its place in the source's held-out text.
    """
    read: dict[str, int] = {}
    for rows in scores.values():
        for row in rows:
            if _is_bits_per_byte(row):
                source = row["task"].removeprefix(HELDOUT)
                read[source] = max(read.get(source, 0), int(row["n"]))
    prompts = responses.drop_duplicates("item")
    first = prompts["document"] < prompts["category"].map(read).fillna(0)
    counts = first.groupby(prompts["category"], sort=False).sum()
    return {str(category): int(count) for category, count in counts.items()}


def _figures(scores: Scores, tasks: Tasks) -> Iterator[dict[str, Any]]:
    for model, rows in scores.items():
        seen: dict[str, str] = {}
        for row in rows:
            first = seen.setdefault(row["task"], row["metric"])
            stated = tasks.get(row["task"], {}).get("metric") or first
            if _is_bits_per_byte(row) or (row["task"] in tasks and row["metric"] == stated):
                yield {
                    "model": model,
                    "benchmark": row["task"],
                    "value": row["value"],
                    "value_se": row["stderr"],
                }


def _is_bits_per_byte(row: Mapping[str, Any]) -> bool:
    return row["metric"] == BITS_PER_BYTE and row["task"].startswith(HELDOUT)


def _varying(
    frame: pd.DataFrame, label: str, value: str, models: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The figures that three of the models have and that differ among them, and a note on the others."""
    known = frame[frame["model"].isin(models)].dropna(subset=[value]).groupby(label, sort=False)[value]
    good = [name for name, values in known if len(values) >= MIN_MODELS and values.nunique() > 1]
    gone = [name for name in dict.fromkeys(frame[label]) if name not in good]
    notes = []
    if gone:
        notes.append(
            f"Left out, as fewer than {MIN_MODELS} models have the {label} or it is the same for all: "
            f"{', '.join(gone)}."
        )
    return frame[frame[label].isin(good)], notes
