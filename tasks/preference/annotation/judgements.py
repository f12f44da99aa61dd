"""Reads judgements of people: Likert rows, choices of A or B, absolute ratings, and counts of wins.

    likert    item, model, reference, annotator, score: 1 (model much better) to 7 (reference much better)
    choice    item, model_a, model_b, annotator, choice: the model's name, A, B or tie, or codes (`votes`); or a column
              an annotator, annotator_1, annotator_2, ... in place of the last two
    absolute  item, model, annotator, rating: a number, higher is better
    wins      model_a, model_b, wins_a, wins_b, and optionally ties: whole numbers

Each may have area, category, subcategory and turns. Rating tables with intervals are read by
`sheets.figures.read_figures`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasks.preference.annotation.votes import Vote, outcomes
from tasks.tables.reading import Source, not_empty, table_of
from tasks.tables.table import Table, as_number, as_text, column_named, plain

KINDS = ("likert", "choice", "absolute", "wins")
FIRST, SECOND = ("model_a", "model_1", "first"), ("model_b", "model_2", "second")
CHOICE = ("choice", "winner", "preference", "preferred")
SCORE = ("score", "likert", "rating")
PLACES = ("area", "category", "subcategory")
MOST_TOLD = 10
LIKERT = (1, 7)


@dataclass(frozen=True)
class Judgements:
    """rows: item, annotator, area, category, subcategory ('' where not given), turns (NaN), first, second
    (the reference; '' for absolute), value and weight (1, or the count of wins).

    value: from 0 (second preferred) to 1 (first preferred), .5 a tie; for absolute the rating itself. cluster, where it
    is there: what is resampled together in place of the item. kind; name: of the file.
    """

    rows: pd.DataFrame
    kind: str
    name: str


def read_judgements(
    source: Source, kind: str | None = None, category_column: str | None = None
) -> Judgements:
    """Reads a file or DataFrame; kind: of KINDS, told from the columns when None.

    category_column: the column that is the category where it has another name. Raises ValueError naming the
    columns that are missing, or every bad row (the first ten) with its column and what is allowed.
    """
    sheet = not_empty(table_of(source, "judgements"))
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind={kind!r}: allowed are {list(KINDS)}")
    if category_column is not None and category_column not in sheet.columns:
        raise ValueError(f"{sheet.name}: no column {category_column!r}; columns are {sheet.columns}")
    kind = kind or _kind_of(sheet)
    reader = {"likert": _likert, "choice": _choices, "absolute": _absolute, "wins": _wins}[kind]
    bad: list[str] = []
    rows = reader(sheet, bad, _places(sheet, category_column))
    if bad:
        more = f"; and {len(bad) - MOST_TOLD} more" if len(bad) > MOST_TOLD else ""
        raise ValueError(f"{sheet.name}: {len(bad)} bad cells: {'; '.join(bad[:MOST_TOLD])}{more}")
    frame = pd.DataFrame(rows)
    _refuse_repeats(sheet, frame, kind)
    return Judgements(frame.drop(columns="place"), kind, sheet.name)


def _kind_of(sheet: Table) -> str:
    pair = column_named(sheet, FIRST) and column_named(sheet, SECOND)
    if pair and column_named(sheet, ("wins_a", "wins_1")):
        return "wins"
    if pair and (column_named(sheet, CHOICE) or _annotator_columns(sheet)):
        return "choice"
    if column_named(sheet, ("reference",)) and column_named(sheet, SCORE):
        return "likert"
    if column_named(sheet, ("model",)) and column_named(sheet, ("annotator",)) and column_named(sheet, SCORE):
        return "absolute"
    raise ValueError(
        f"{sheet.name}: columns {sheet.columns} are of no kind: likert (item, model, reference, annotator, score), "
        "choice (item, model_a, model_b, annotator, choice), absolute (item, model, annotator, rating) or wins "
        "(model_a, model_b, wins_a, wins_b)"
    )


def _places(sheet: Table, category_column: str | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    columns = {name: column_named(sheet, (name,)) for name in PLACES}
    if category_column is not None:
        columns["category"] = category_column
    turns = column_named(sheet, ("turns", "turn_count", "n_turns"))

    def of(row: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {name: as_text(row[c]) if c else "" for name, c in columns.items()}
        cell = row[turns] if turns else None
        return {**told, "turns": math.nan if cell is None else as_number(cell)}

    return of


def _needed(sheet: Table, **aliases: tuple[str, ...]) -> dict[str, str]:
    found = {name: column_named(sheet, names) for name, names in aliases.items()}
    lacking = [aliases[name][0] for name, column in found.items() if column is None]
    if lacking:
        raise ValueError(f"{sheet.name}: columns {lacking} are missing; columns are {sheet.columns}")
    return {name: column for name, column in found.items() if column is not None}


def _names(
    place: str, row: dict[str, Any], columns: dict[str, str], names: tuple[str, ...], bad: list[str]
) -> dict[str, str]:
    told = {name: as_text(row[columns[name]]) for name in names}
    bad += [f"{place}, column {columns[name]!r}: empty" for name, cell in told.items() if not cell]
    return told


def _likert(sheet: Table, bad: list[str], places: Callable) -> list[dict[str, Any]]:
    columns = _needed(
        sheet, item=("item",), first=("model",), second=("reference",), annotator=("annotator",), score=SCORE
    )
    rows = []
    for place, row in sheet.rows:
        told = _names(place, row, columns, ("item", "first", "second", "annotator"), bad)
        score = as_number(row[columns["score"]])
        if score not in range(LIKERT[0], LIKERT[1] + 1):
            bad.append(f"{place}, column {columns['score']!r}: {row[columns['score']]!r} must be 1, 2, ... 7")
        _refuse_itself(place, told, bad)
        value = (LIKERT[1] - score) / (LIKERT[1] - LIKERT[0])
        rows.append({"place": place, **told, **places(row), "value": value, "weight": 1.0})
    return rows


def _choices(sheet: Table, bad: list[str], places: Callable) -> list[dict[str, Any]]:
    wide = _annotator_columns(sheet) if column_named(sheet, CHOICE) is None else []
    aliases = {"item": ("item", "id"), "first": FIRST, "second": SECOND}
    if not wide:
        aliases |= {"annotator": ("annotator",), "choice": CHOICE}
    columns = _needed(sheet, **aliases)
    rows: list[dict[str, Any]] = []
    votes: list[tuple[str, str, Vote]] = []
    for place, row in sheet.rows:
        known = _names(place, row, columns, ("item", "first", "second"), bad)
        _refuse_itself(place, known, bad)
        for annotator, column in [(name, name) for name in wide] or [("", columns["choice"])]:
            if wide and row[column] is None:
                continue
            who = annotator or as_text(row[columns["annotator"]])
            if not who:
                bad.append(f"{place}, column {columns['annotator']!r}: empty")
            votes.append((place, column, (row[column], known["first"], known["second"])))
            rows.append({"place": place, **known, "annotator": who, **places(row), "weight": 1.0})
    try:
        found = outcomes(vote for _, _, vote in votes)
    except ValueError as error:
        where = f"column {columns['choice']!r}" if not wide else f"columns {', '.join(wide)}"
        raise ValueError(f"{sheet.name}, {where}: {error}") from error
    if not rows:
        bad.append(f"no choice in the columns {', '.join(wide)}")
    for row, (place, column, _), value in zip(rows, votes, found, strict=True):
        if isinstance(value, str):
            bad.append(f"{place}, column {column!r}: {value}")
        row["value"] = math.nan if isinstance(value, str) else value
    return rows


def _absolute(sheet: Table, bad: list[str], places: Callable) -> list[dict[str, Any]]:
    columns = _needed(sheet, item=("item",), first=("model",), annotator=("annotator",), score=SCORE)
    rows = []
    for place, row in sheet.rows:
        told = _names(place, row, columns, ("item", "first", "annotator"), bad)
        value = as_number(row[columns["score"]])
        if not math.isfinite(value):
            bad.append(f"{place}, column {columns['score']!r}: {row[columns['score']]!r} must be a number")
        rows.append({"place": place, **told, "second": "", **places(row), "value": value, "weight": 1.0})
    return rows


def _wins(sheet: Table, bad: list[str], places: Callable) -> list[dict[str, Any]]:
    columns = _needed(sheet, first=FIRST, second=SECOND, a=("wins_a", "wins_1"), b=("wins_b", "wins_2"))
    ties = column_named(sheet, ("ties", "draws"))
    counted = [(columns["a"], 1.0), (columns["b"], 0.0), *([(ties, 0.5)] if ties else [])]
    rows = []
    for place, row in sheet.rows:
        told = _names(place, row, columns, ("first", "second"), bad)
        _refuse_itself(place, told, bad)
        for column, value in counted:
            count = 0.0 if row[column] is None else as_number(row[column])
            if not (count >= 0 and count == math.floor(count)):
                bad.append(f"{place}, column {column!r}: {row[column]!r} must be a whole number, 0 or more")
            elif count:
                rows.append(
                    {
                        "place": place,
                        "item": place,
                        "annotator": "",
                        **told,
                        **places(row),
                        "value": value,
                        "weight": count,
                    }
                )
    if not rows and not bad:
        bad.append("no win and no tie is counted")
    return rows


def _annotator_columns(sheet: Table) -> list[str]:
    return [
        name for name in sheet.columns if plain(name).startswith("annotator") and plain(name)[9:].isdigit()
    ]


def _refuse_itself(place: str, told: dict[str, str], bad: list[str]) -> None:
    if told["first"] and told["first"] == told["second"]:
        bad.append(f"{place}: {told['first']!r} is compared with itself")


def _refuse_repeats(sheet: Table, frame: pd.DataFrame, kind: str) -> None:
    if kind == "wins":
        return
    keys = ["item", "annotator", "area", "category", "subcategory", "first", "second"]
    again = frame[frame.duplicated(keys)]
    if len(again):
        row = again.iloc[0]
        raise ValueError(
            f"{sheet.name} {row['place']}: annotator {row['annotator']!r} judged item {row['item']!r} of "
            f"{row['first']!r} twice ({len(again)} such rows)"
        )
