"""Joins scores, ratings and facts of models by name, and never by a name that only looks alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.harness_results import is_harness_results, read_harness_results
from tasks.preference.sheets.figures import Figures, read_about, read_figures
from tasks.preference.sheets.name_joins import Names, near_names, renamed
from tasks.preference.sheets.other_columns import BENCHMARKS, CATEGORIES, is_rating
from tasks.tables.reading import Source, not_empty, table_of
from tasks.tables.taken import say_taken

Array = NDArray[np.float64]
MIN_MODELS = 3
ALIKE = 0.98  # a correlation above which a benchmark may be made of the rating
JOINS = ("exact", "normalised")


@dataclass(frozen=True)
class Paired:
    """Models with scores and ratings, in order of their names.

    scores (n, p) and ratings (n, T), NaN where missing; rating_errors (n, T), NaN unknown; families (n,)
    labels; log_params (n,) of billions and dates (n,) in days, NaN unknown. unrated: names of the models with
    scores alone, with other_scores (m, p), other_log_params and other_dates (m,), and other_score_errors (m, p), their
    standard errors, NaN unknown. near: (name in the
    scores, name in the ratings) that match only after normalising and were not joined. notes: plain sentences.
    """

    models: list[str]
    benchmarks: list[str]
    targets: list[str]
    scores: Array
    ratings: Array
    rating_errors: Array
    families: NDArray[np.str_]
    log_params: Array
    dates: Array
    unrated: list[str]
    other_scores: Array
    other_log_params: Array
    other_dates: Array
    near: list[tuple[str, str]]
    notes: list[str]
    other_score_errors: Array | None = None


def pair(
    scores: Source | Sequence[Source],
    ratings: Source,
    models: Source | None = None,
    *,
    join: str = "exact",
    ignore: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
    targets: Sequence[str] = (),
    only_models: Sequence[str] = (),
    also: Sequence[str] = (),
    score_model: str | None = None,
    rating_model: str | None = None,
) -> Paired:
    """Reads and joins tables (files or DataFrames; several of scores are set side by side).

    Scores may also be results of lm-evaluation-harness: a file, a folder of them, or folders of folders.

    join: 'exact', or 'normalised' (case, punctuation and organisation do not count; names that this makes
    ambiguous stay apart, and every joined pair is told). ignore: columns or quantities of either table to leave
    out; benchmarks, targets, only_models: those to take, all when empty, but for ranks, votes, dates and the like
    (`other_columns`); also: those of them to take. score_model, rating_model: column of the
    model's name where it is not `model`. Raises ValueError for fewer than three shared models and for columns that
    do not vary over them, and what `read_figures` raises.
    """
    if join not in JOINS:
        raise ValueError(f"join={join!r}: allowed are {list(JOINS)}")
    sources = [scores] if isinstance(scores, str | Path | pd.DataFrame) else list(scores)
    tables = [
        _read(source, "scores", score_model, ignore, benchmarks, BENCHMARKS, also) for source in sources
    ]
    rated = _read(ratings, "ratings", rating_model, ignore, targets, CATEGORIES, also)
    rated = _without_benchmarks(rated, tables, [*targets, *also])
    read = [*((s, t, BENCHMARKS) for s, t in zip(sources, tables, strict=True)), (ratings, rated, CATEGORIES)]
    for source, part, role in read:
        if isinstance(source, str | Path):  # what is no file was made by who knows its columns
            _say(part, role)
    about = [] if models is None else [read_about(models)]
    notes = [note for part in (*tables, rated) for note in part.notes]
    names = Names(list(rated.values.index), join)
    tables = [renamed(part, names, notes) for part in tables]
    about = [renamed(part, names, notes) for part in about]
    scored, score_errors = (_side_by_side(tables, part) for part in ("values", "errors"))
    if only_models:
        scored, rated = _only(scored, rated, only_models)
    shared = sorted(set(scored.index) & set(rated.values.index))
    near = near_names(scored.index, rated.values.index)
    if near and join == "exact":
        notes.append(
            f"{len(near)} names match only after normalising and were not joined: "
            + "; ".join(f"{a!r} ~ {b!r}" for a, b in near[:10])
            + ("; …" if len(near) > 10 else "")
            + ". Write them alike, or ask for the normalised join."
        )
    for part in about:
        apart = near_names(part.about.index, scored.index.union(rated.values.index))
        if apart and join == "exact":
            notes.append(
                f"{part.name}: {len(apart)} names match only after normalising, so their facts were not used: "
                + "; ".join(f"{a!r} ~ {b!r}" for a, b in apart[:10])
                + "."
            )
    facts = [rated.about, *(part.about for part in tables), *(part.about for part in about)]
    found = _paired(scored, rated, shared, near, facts, notes)
    errors = score_errors.reindex(index=found.unrated, columns=found.benchmarks).to_numpy(float)
    notes += alike_notes(found)
    return replace(found, other_score_errors=errors)


def alike_notes(data: Paired) -> list[str]:
    """A note of each benchmark that goes with a category so closely that it may be made of it."""
    notes = []
    for benchmark, x in zip(data.benchmarks, data.scores.T, strict=True):
        for target, y in zip(data.targets, data.ratings.T, strict=True):
            both = np.isfinite(x) & np.isfinite(y)
            if both.sum() < MIN_MODELS or not (np.ptp(x[both]) > 0 and np.ptp(y[both]) > 0):
                continue
            r = float(np.corrcoef(x[both], y[both])[0, 1])
            if abs(r) > ALIKE:
                notes.append(
                    f"{benchmark!r} goes with {target!r} at r = {r:.3f} over {int(both.sum())} models: if it is made "
                    "of that rating, leave it out (--ignore)."
                )
    return notes


def _without_benchmarks(rated: Figures, tables: list[Figures], asked: Sequence[str]) -> Figures:
    """A table that holds ratings by name has no benchmarks of the scores among its categories."""
    if not any(map(is_rating, rated.values.columns)):
        return rated
    scored = {name for part in tables for name in part.values.columns}
    gone = [n for n in rated.values.columns if n in scored and n not in asked and not is_rating(n)]
    return replace(
        rated,
        values=rated.values.drop(columns=gone),
        errors=rated.errors.drop(columns=gone),
        left_out={**rated.left_out, **dict.fromkeys(gone, "a benchmark")},
    )


def _say(part: Figures, role: str) -> None:
    left_out = [f"{name} ({what})" for name, what in part.left_out.items()]
    say_taken(part.name, {role: list(part.values.columns)}, left_out, "--also NAME takes one")


def _only(scored: pd.DataFrame, rated: Figures, names: Sequence[str]) -> tuple[pd.DataFrame, Figures]:
    unknown = [name for name in names if name not in scored.index and name not in rated.values.index]
    if unknown:
        raise ValueError(f"models {unknown}: stand in neither the scores nor {rated.name}")
    kept = [name for name in rated.values.index if name in names]
    rated = replace(rated, values=rated.values.loc[kept], errors=rated.errors.loc[kept])
    return scored.loc[[name for name in scored.index if name in names]], rated


def _read(
    source: Source,
    what: str,
    column: str | None,
    ignore: Sequence[str],
    only: Sequence[str],
    role: str,
    also: Sequence[str],
) -> Figures:
    notes: list[str] = []
    if role == BENCHMARKS and isinstance(source, str | Path) and is_harness_results(Path(source)):
        what = str(source)
        source, notes = read_harness_results(Path(source))
    sheet = not_empty(table_of(source, what))
    here = [name for name in ignore if name in sheet.columns]
    found = read_figures(source, what, column, here, only, role, also)
    gone = [name for name in ignore if name in found.values.columns]
    return replace(
        found,
        values=found.values.drop(columns=gone),
        errors=found.errors.drop(columns=gone),
        notes=(*notes, *found.notes),
    )


def _side_by_side(tables: list[Figures], which: str) -> pd.DataFrame:
    """Quantities of several tables as columns; one that several tables have carries the file's name."""
    counts: dict[str, int] = defaultdict(int)
    for part in tables:
        for name in part.values.columns:
            counts[name] += 1
    frames = [
        getattr(part, which).rename(
            columns={name: f"{name} ({Path(part.name).name})" for name, count in counts.items() if count > 1}
        )
        for part in tables
    ]
    both = pd.concat(frames, axis=1)
    repeated = sorted(set(both.columns[both.columns.duplicated()]))
    if repeated:
        raise ValueError(f"scores: the same file or quantity is given twice: {repeated}")
    return both


def _paired(
    scored: pd.DataFrame,
    rated: Figures,
    shared: list[str],
    near: list[tuple[str, str]],
    facts: list[pd.DataFrame],
    notes: list[str],
) -> Paired:
    if len(shared) < MIN_MODELS:
        alike = (
            f"; {len(near)} more match only after normalising ({', '.join(f'{a!r} ~ {b!r}' for a, b in near[:5])})"
            if near
            else ""
        )
        raise ValueError(
            f"{len(shared)} models stand in both the scores ({len(scored)}) and {rated.name} "
            f"({len(rated.values)}): {shared}; at least {MIN_MODELS} are needed{alike}"
        )
    values, ratings = _usable(scored.loc[shared], "benchmark", notes), rated.values.loc[shared]
    ratings = _usable(ratings, "category", notes)
    about = pd.concat(facts, axis=0)
    both = {
        kind: about[kind].dropna().groupby(level=0).first() if kind in about else pd.Series(dtype=float)
        for kind in ("family", "params_b", "date")
    }
    others = sorted(set(scored.index[scored[values.columns].notna().any(axis=1)]) - set(rated.values.index))
    if not len(both["family"]):
        notes.append("No families are given: every model is taken for a family of its own.")
    return Paired(
        models=shared,
        benchmarks=list(values.columns),
        targets=list(ratings.columns),
        scores=values.to_numpy(float),
        ratings=ratings.to_numpy(float),
        rating_errors=rated.errors.loc[shared, list(ratings.columns)].to_numpy(float),
        families=np.array([str(both["family"].get(name, name)) for name in shared]),
        log_params=np.log(_known(both["params_b"], shared)),
        dates=_known(both["date"], shared),
        unrated=others,
        other_scores=scored.loc[others, list(values.columns)].to_numpy(float),
        other_log_params=np.log(_known(both["params_b"], others)),
        other_dates=_known(both["date"], others),
        near=near,
        notes=notes,
    )


def _known(facts: pd.Series, names: list[str]) -> Array:
    return facts.reindex(names).to_numpy(float)


def _usable(frame: pd.DataFrame, kind: str, notes: list[str]) -> pd.DataFrame:
    few = [name for name in frame.columns if frame[name].notna().sum() < MIN_MODELS]
    if few:
        notes.append(
            f"Set aside, as fewer than {MIN_MODELS} shared models have the {kind}: {', '.join(map(str, few))}."
        )
    frame = frame.drop(columns=few)
    if frame.shape[1] == 0:
        raise ValueError(f"no {kind} has figures of {MIN_MODELS} shared models; at least one is needed")
    constant = [name for name in frame.columns if frame[name].dropna().nunique() < 2]
    if constant:
        raise ValueError(
            f"{kind} {constant}: the same figure for all shared models, so nothing can be learned from it; "
            "leave such columns out (--ignore; in a run preference.benchmarks)"
        )
    return frame
