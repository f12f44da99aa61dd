"""Ratings of models from judgements: the paper's means and Bradley-Terry, by taxonomy, with clustered intervals.

As in Schaeffer et al. 2025 (arXiv 2502.18339, section 3): annotators are averaged to one score of an item's pair, pairs
to one score of a model, and a Likert score s from 1 (model) to 7 (reference) becomes (7 - s) / 6 in [0, 1]. Beside it
stand Bradley-Terry strengths with ties (`bradley_terry`) on the Elo scale, mean 1000. Both have three percentile
intervals: annotators resampled with all that they said, items (or their documents, where a column cluster names them)
with all that was said of them, and both at once (the product of the two weights, Owen 2007, which errs to be wide).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tasks.preference.annotation.agreement import alpha, order_effect
from tasks.preference.annotation.bradley_terry import ELO, fit_strengths, unlinked
from tasks.preference.annotation.interval_ends import SHARES, interval_ends, units_of
from tasks.preference.annotation.judgements import Judgements, read_judgements
from tasks.preference.annotation.programmatic import HUMAN, origin
from tasks.preference.records import plain_value, records
from tasks.preference.sheets.figures import standard_error
from tasks.tables.reading import Source

Array = NDArray[np.float64]
LEVELS = ("all", "area", "category", "subcategory")
CLUSTERS = ("annotators", "items", "both")
CENTRE = 1000.0
FEW_ANNOTATORS = 10
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Aggregate:
    """ratings: one row a place of the taxonomy and model; places: one row a place, with counts, agreement, order.

    origin: 'human', or 'programmatic' where rules judged (`programmatic`).

    ratings: level, area, category, subcategory, model, items, judgements, score and elo, each with NAME_low and
    NAME_high (both clusters resampled) and the same _by_annotators and _by_items. places: models, items, annotators,
    judgements, single_turn, multi_turn, alpha (see `agreement.alpha`) and order (see `agreement.order_effect`).
    """

    ratings: pd.DataFrame
    places: pd.DataFrame
    kind: str
    origin: str
    confidence: float
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "origin": self.origin,
            "confidence": self.confidence,
            "ratings": records(self.ratings),
            "places": plain_value(records(self.places)),
            "notes": self.notes,
        }

    def table(self, rating: str) -> pd.DataFrame:
        """model, category, rating, rating_se of every place: what `--ratings` takes; elo or score."""
        allowed = [name for name in ("elo", "score") if name in self.ratings]
        if rating not in allowed:
            raise ValueError(f"rating={rating!r}: allowed are {allowed}")
        names = [_path(row) for row in records(self.ratings)]
        ends = self.ratings[f"{rating}_low"], self.ratings[f"{rating}_high"]
        error = standard_error(*ends, self.confidence)
        frame = self.ratings[["model"]].assign(category=names, rating=self.ratings[rating], rating_se=error)
        return frame.dropna(subset=["rating"], ignore_index=True)


def aggregate(
    judgements: Source | Judgements,
    kind: str | None = None,
    *,
    category_column: str | None = None,
    confidence: float = 0.9,
    bootstraps: int = 500,
    random_seed: int = 0,
    elo: bool = True,
) -> Aggregate:
    """Aggregates judgements (a file, a DataFrame, or what `read_judgements` gave) at every place of the taxonomy.

    elo: False leaves out the Bradley-Terry strengths, which take most of the time.
    """
    if not 0.5 <= confidence < 1 or bootstraps < 50:
        raise ValueError(
            f"confidence={confidence:g}, bootstraps={bootstraps}: must be in [0.5, 1), and 50 or more"
        )
    found = judgements
    if not isinstance(found, Judgements):
        found = read_judgements(found, kind, category_column)
    by = origin(found)
    ratings, places, notes = [], [], []
    for level, place, rows in _places(found.rows):
        told, note = _rated(rows, found.kind, confidence, bootstraps, random_seed, elo)
        if note:
            notes.append(f"{_path({'level': level, **place})}: {note}")
        ratings += [{"level": level, **place, **row} for row in told]
        places.append({"level": level, **place, **_counts(rows, found.kind, confidence, random_seed)})
    if by == HUMAN:
        notes += _cautions(places[0], found.kind)
    else:
        notes.append("These judgements are programmatic: rules with a known answer, not people.")
    return Aggregate(pd.DataFrame(ratings), pd.DataFrame(places), found.kind, by, confidence, notes)


def _cautions(whole: dict[str, Any], kind: str) -> list[str]:
    notes = []
    if kind == "wins":
        notes.append(
            "Counts of wins name no annotator and no item: intervals take every vote for independent."
        )
    elif whole["annotators"] < FEW_ANNOTATORS:
        notes.append(
            f"{whole['annotators']} annotators: intervals over annotators say little of other people; at least "
            f"{FEW_ANNOTATORS} are needed for that."
        )
    order = whole["order"]
    if order and order["balance"] < 0.5 and not order["low"] <= 0.5 <= order["high"]:
        notes.append(
            f"{order['share_first']:.1%} of the decided choices went to the answer named first, but only "
            f"{order['balance']:.0%} of the pairs of models stood in both orders: place and model are not told apart."
        )
    return notes


def _places(rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, str], pd.DataFrame]]:
    columns = list(LEVELS[1:])
    yield "all", dict.fromkeys(columns, ""), rows
    for depth, level in enumerate(columns, 1):
        here = rows[rows[level] != ""]
        for key, part in here.groupby(columns[:depth], sort=True):
            names = [str(name) for name in key] if isinstance(key, tuple) else [str(key)]
            yield level, dict(zip(columns, [*names, *[""] * (3 - depth)], strict=True)), part


def _path(row: dict[str, Any]) -> str:
    parts = [row[name] for name in LEVELS[1:] if row[name]]
    return " > ".join(parts) if parts else "all"


def _counts(rows: pd.DataFrame, kind: str, confidence: float, random_seed: int) -> dict[str, Any]:
    items = rows.drop_duplicates("item")
    models = set(rows["first"]) | set(rows["second"]) - {""}
    told = rows["annotator"].nunique() if kind != "wins" else 0
    return {
        "models": len(models),
        "items": len(items) if kind != "wins" else None,
        "annotators": told,
        "judgements": int(rows["weight"].sum()),
        "single_turn": int((items["turns"] == 1).sum()),
        "multi_turn": int((items["turns"] > 1).sum()),
        "alpha": alpha(rows, kind, confidence, random_seed),
        "order": order_effect(rows, confidence, random_seed) if kind == "choice" else None,
    }


def _rated(
    rows: pd.DataFrame, kind: str, confidence: float, bootstraps: int, random_seed: int, elo: bool
) -> tuple[list[dict[str, Any]], str]:
    sides = rows if kind in ("likert", "absolute") else pd.concat([rows, _turned(rows)], ignore_index=True)
    names = sorted(set(rows["first"]) | (set(rows["second"]) - {""}))
    scores, strengths, note = _Scores(sides, names), None, ""
    if elo and kind != "absolute":
        strengths = _Strengths(rows, names)
        groups = unlinked(strengths.pairs, strengths.counts_of(np.ones((1, len(rows))))[0], len(names))
        if len(groups) > 1:
            told = "; ".join(", ".join(names[i] for i in group) for group in groups[:6])
            note = (
                f"models that never won, or never lost, against the rest: {told}. How far these groups lie "
                "apart is told by the prior alone."
            )
    point = np.ones((1, len(rows)))
    estimates = {"score": scores.of(point, len(rows), sides)[0]}
    if strengths is not None:
        estimates["elo"] = strengths.of(point)[0]
    drawn: dict[str, dict[str, list[Array]]] = {name: {c: [] for c in CLUSTERS} for name in estimates}
    for cluster, weights in _resamples(rows, kind, bootstraps, random_seed):
        drawn["score"][cluster].append(scores.of(weights, len(rows), sides))
        if strengths is not None:
            drawn["elo"][cluster].append(strengths.of(weights))
    told_rows = []
    for m, name in enumerate(names):
        mine = sides[sides["first"] == name]
        row: dict[str, Any] = {
            "model": name,
            "items": mine["item"].nunique(),
            "judgements": int(mine["weight"].sum()),
        }
        for kind_of, values in estimates.items():
            row[kind_of] = float(values[m])
            for cluster in CLUSTERS:
                parts = [part[:, m] for part in drawn[kind_of][cluster]]
                is_share = kind_of == "score" and kind in SHARES
                ends = interval_ends(parts, confidence, units_of(mine, cluster) if is_share else None)
                suffix = "" if cluster == "both" else f"_by_{cluster}"
                row[f"{kind_of}_low{suffix}"], row[f"{kind_of}_high{suffix}"] = ends
        told_rows.append(row)
    return told_rows, note


def _turned(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(first=rows["second"], second=rows["first"], value=1 - rows["value"])


def _resamples(
    rows: pd.DataFrame, kind: str, bootstraps: int, random_seed: int
) -> Iterator[tuple[str, Array]]:
    """Weights (B, n) of the rows by cluster, in chunks. Counts of wins have no clusters: single votes are drawn."""
    rng = np.random.default_rng([random_seed, 23])
    size = max(1, _CELLS_AT_ONCE // len(rows))
    for at in range(0, bootstraps, size):
        draws = min(size, bootstraps - at)
        if kind == "wins":
            votes = rows["weight"].to_numpy()
            total = int(votes.sum())
            yield "both", rng.multinomial(total, votes / total, size=draws) / votes
            continue
        by = {}
        of_items = "cluster" if "cluster" in rows else "item"
        for cluster, column in (("annotators", "annotator"), ("items", of_items)):
            codes, kinds = pd.factorize(rows[column])
            count = len(kinds)
            drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws)
            by[cluster] = drawn[:, codes].astype(float)
            yield cluster, by[cluster]
        yield "both", by["annotators"] * by["items"]


class _Scores:
    """The paper's means: annotators to a pair, pairs to a model. Weights of rows count as copies of them."""

    def __init__(self, sides: pd.DataFrame, names: list[str]) -> None:
        units = sides.groupby(["item", "first", "second"], sort=False).ngroup().to_numpy()
        self.value = sides["value"].to_numpy(float)
        self.votes = sides["weight"].to_numpy(float)
        count = int(units.max()) + 1
        self.of_unit = _incidence(units, count)
        first = np.zeros(count, dtype=np.intp)
        first[units] = pd.Categorical(sides["first"], categories=names).codes
        self.of_model = _incidence(first, len(names))

    def of(self, weights: Array, rows: int, sides: pd.DataFrame) -> Array:
        """weights (B, rows of the judgements) -> scores (B, models), NaN where a model was not drawn.

        A pair counts by the mean weight of its judgements, so that copies of an item count as often.
        """
        every = np.tile(weights, len(sides) // rows) * self.votes
        total = every @ self.of_unit
        sums = (every * self.value) @ self.of_unit
        means = np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)
        many = np.asarray(self.of_unit.sum(axis=0)).ravel()
        share = total / many
        weight = share @ self.of_model
        found = (share * means) @ self.of_model
        return np.divide(found, weight, out=np.full_like(found, np.nan), where=weight > 0)


class _Strengths:
    """Bradley-Terry on the Elo scale; a judgement is a win, a loss or a tie."""

    def __init__(self, rows: pd.DataFrame, names: list[str]) -> None:
        self.models = len(names)
        first = pd.Categorical(rows["first"], categories=names).codes.astype(int)
        second = pd.Categorical(rows["second"], categories=names).codes.astype(int)
        low, high = np.minimum(first, second), np.maximum(first, second)
        self.pairs, which = np.unique(np.column_stack([low, high]), axis=0, return_inverse=True)
        value = rows["value"].to_numpy(float)
        value = np.where(first == low, value, 1 - value)
        outcome = np.where(value > 0.5, 0, np.where(value < 0.5, 1, 2)).astype(np.intp)
        cells = np.array(which.ravel() * 3 + outcome, dtype=np.intp)
        self.cells = _incidence(cells, 3 * len(self.pairs))
        self.votes = rows["weight"].to_numpy(float)

    def counts_of(self, weights: Array) -> Array:
        return ((weights * self.votes) @ self.cells).reshape(len(weights), -1, 3)

    def of(self, weights: Array) -> Array:
        return CENTRE + ELO * fit_strengths(self.pairs, self.counts_of(weights), self.models)[0]


def _incidence(codes: NDArray[np.integer], size: int) -> csr_array:
    rows = np.arange(len(codes))
    return csr_array((np.ones(len(codes)), (rows, codes)), shape=(len(codes), size))
