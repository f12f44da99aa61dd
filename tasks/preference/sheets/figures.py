"""Figures of models, from a wide table (a column a quantity) or a long one (a row a figure), each cell checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from tasks.preference.sheets.facts import read_facts
from tasks.preference.sheets.other_columns import what_else
from tasks.tables.reading import Source, not_empty, table_of
from tasks.tables.table import Table, cells_of, column_named, number, plain, text

MODEL = ("model", "model_name", "name")
QUANTITY = ("benchmark", "category", "task", "scenario", "quantity", "target", "area", "dataset")
VALUE = ("score", "value", "rating", "elo")
ENDS = (("_low", "_high"), ("_q025", "_q975"), ("_lower", "_upper"))
PLAIN_ENDS = (("low", "high"), ("lower", "upper"), ("ci_low", "ci_high"))
ERROR = ("_stderr", "_se")
PLAIN_ERROR = ("stderr", "standard_error", "se")
FIGURE = "a finite number (a column that is no figure can be left out: --ignore)"
PUBLISHED = 0.95  # level of the intervals that tables state


@dataclass(frozen=True)
class Figures:
    """values: models x quantities, NaN where there is none; errors: standard errors alike, NaN unknown.

    about: by model family, params_b (billions) and date (days since 1970), NaN where unknown; only the columns
    that the table had. notes: what was read as what, where that is not plain. left_out: columns or quantities that are
    none of the role asked for -> what they are.
    """

    name: str
    values: pd.DataFrame
    errors: pd.DataFrame
    about: pd.DataFrame
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Cell:
    place: str
    model: str
    quantity: str
    value: float
    error: float


def read_figures(
    source: Source,
    what: str,
    model_column: str | None = None,
    ignore: Sequence[str] = (),
    only: Sequence[str] = (),
    role: str | None = None,
    also: Sequence[str] = (),
) -> Figures:
    """Figures of a file or DataFrame; `what` ('scores', 'ratings') names it in messages.

    ignore: columns (wide) or quantities (long) to leave out; only: those to take, all when empty. role: of
    `other_columns`: what is none of it is left out too, but for `only` and `also`; None: all is taken. Raises
    ValueError for cells that are no numbers, a model or figure that stands twice, and intervals that do not hold their
    figure.
    """
    sheet = not_empty(table_of(source, what))
    _check_columns(sheet, [*([model_column] if model_column else [])])
    model = model_column or column_named(sheet, MODEL)
    if model is None:
        raise ValueError(f"{sheet.name}: no column 'model'; columns are {sheet.columns}")
    label, value = column_named(sheet, QUANTITY), column_named(sheet, VALUE)
    is_long = label is not None and value is not None and label not in ignore and value not in ignore
    about, about_columns = read_facts(sheet, model, ignore)
    read_as = [f"{column!r} as {kind}" for kind, column in zip(about, about_columns, strict=True)]
    left: dict[str, str] = {}
    if is_long:
        assert label is not None and value is not None
        cells, notes = _long(sheet, model, label, value, [*about_columns, *ignore])
        cells = [c for c in cells if c.quantity not in ignore and (not only or c.quantity in only)]
        known = {c.quantity for c in cells}
        left = _left_out(dict.fromkeys(c.quantity for c in cells), role, [*only, *also])
        cells = [c for c in cells if c.quantity not in left]
    else:
        _check_columns(sheet, ignore)
        known = set(sheet.columns)
        columns = [
            c for c in sheet.columns if c not in (model, *about_columns, *ignore) and (not only or c in only)
        ]
        left = _left_out(columns, role, [*only, *also])
        if role is not None:
            texts = [c for c in columns if c not in (*left, *only, *also) and _is_words(sheet, c)]
            left |= dict.fromkeys(texts, "text")
        if len(left) == len(columns) and left:
            raise ValueError(
                f"{sheet.name}: no column of {role}: {_told(left)}; take one with --also, or name one that is"
            )
        cells, notes = _wide(sheet, model, [*about_columns, *ignore, *left], only)
    unknown = sorted(set(only) - known)
    if unknown:
        raise ValueError(f"{sheet.name}: has no {unknown}")
    if not cells:
        raise ValueError(f"{sheet.name}: holds no figure; at least one model with a number is needed")
    _refuse_repeats(sheet, cells)
    if read_as:
        notes.append(
            f"{sheet.name}: columns read as facts of the models, not as figures: {', '.join(read_as)}."
        )
    return Figures(sheet.name, *_frames(cells), about, tuple(notes), left)


def _left_out(names: Iterable[str], role: str | None, asked: Sequence[str]) -> dict[str, str]:
    found = {} if role is None else {name: what_else(name, role) for name in names if name not in asked}
    return {name: what for name, what in found.items() if what is not None}


def _is_words(sheet: Table, column: str) -> bool:
    """Whether a column holds text alone, without a digit anywhere."""
    cells = [cell for cell in cells_of(sheet.frame[column]) if cell is not None]
    return bool(cells) and all(isinstance(c, str) and not any(map(str.isdigit, c)) for c in cells)


def _told(left_out: Mapping[str, str]) -> str:
    return ", ".join(f"{name} is {what}" for name, what in left_out.items())


def standard_error(low: Any, high: Any, confidence: float) -> Any:
    """Of figures (numbers, or columns of them) whose normal intervals of that level are [low, high]."""
    return (high - low) / (2 * NormalDist().inv_cdf((1 + confidence) / 2))


def read_about(source: Source, what: str = "models", model_column: str | None = None) -> Figures:
    """Family, parameters and date by model; needs the column `model` and at least one of those."""
    sheet = not_empty(table_of(source, what))
    model = model_column or column_named(sheet, MODEL)
    if model is None or model not in sheet.columns:
        raise ValueError(f"{sheet.name}: no column 'model'; columns are {sheet.columns}")
    about, columns = read_facts(sheet, model, ())
    if not columns:
        raise ValueError(
            f"{sheet.name}: none of the columns family, params_b (billions), date; columns are {sheet.columns}"
        )
    seen: dict[str, str] = {}
    for place, row in sheet.rows:
        name = text(sheet, place, row, model)
        if name in seen:
            raise ValueError(f"{sheet.name} {place}: model {name!r} stands in {seen[name]} too")
        seen[name] = place
    empty = pd.DataFrame(index=list(seen))
    return Figures(sheet.name, empty, empty, about)


def _check_columns(sheet: Table, wanted: Sequence[str]) -> None:
    unknown = [column for column in wanted if column not in sheet.columns]
    if unknown:
        raise ValueError(f"{sheet.name}: no column {unknown}; columns are {sheet.columns}")


def _wide(
    sheet: Table, model: str, apart: Sequence[str], only: Sequence[str]
) -> tuple[list[_Cell], list[str]]:
    ends = {
        column: found
        for column in sheet.columns
        if (found := _ends_of(sheet, column, [(column + a, column + b) for a, b in ENDS], ERROR, column))
    }
    extra = {name for found in ends.values() for name in found}
    quantities = [c for c in sheet.columns if c != model and c not in apart and c not in extra]
    quantities = [c for c in quantities if not only or c in only]
    if not quantities:
        raise ValueError(f"{sheet.name}: no column of figures beside {sheet.columns}")
    cells = []
    for place, row in sheet.rows:
        name = text(sheet, place, row, model)
        for quantity in quantities:
            if row[quantity] is None:
                continue
            value = number(sheet, place, quantity, row[quantity], FIGURE)
            error = _standard_error(sheet, place, row, value, ends.get(quantity, ()))
            cells.append(_Cell(place, name, quantity, value, error))
    seen: dict[str, str] = {}
    for place, row in sheet.rows:
        name = text(sheet, place, row, model)
        if name in seen:
            raise ValueError(f"{sheet.name} {place}: model {name!r} stands in {seen[name]} too")
        seen[name] = place
    return cells, []


def _long(
    sheet: Table, model: str, label: str, value: str, apart: Sequence[str]
) -> tuple[list[_Cell], list[str]]:
    pairs = [(value + a, value + b) for a, b in ENDS] + list(PLAIN_ENDS)
    ends = _ends_of(sheet, value, pairs, ERROR, value) or _ends_of(sheet, value, [], PLAIN_ERROR, "")
    used = {model, label, value, *ends, *apart}
    unused = [column for column in sheet.columns if column not in used]
    notes = [f"{sheet.name}: read as long ({model}, {label}, {value}); not used: {', '.join(unused)}."]
    cells = []
    for place, row in sheet.rows:
        name, quantity = text(sheet, place, row, model), text(sheet, place, row, label)
        if row[value] is None:
            continue
        figure = number(sheet, place, value, row[value])
        cells.append(_Cell(place, name, quantity, figure, _standard_error(sheet, place, row, figure, ends)))
    return cells, notes if unused else []


def _ends_of(
    sheet: Table, column: str, pairs: Sequence[tuple[str, str]], errors: Sequence[str], stem: str
) -> tuple[str, ...]:
    """The columns that tell the uncertainty of `column`: (low, high), (standard error,) or none."""
    known = {plain(name): name for name in sheet.columns if name != column}
    for low, high in pairs:
        found = [known[plain(end)] for end in (low, high) if plain(end) in known]
        if len(found) == 1:
            raise ValueError(f"{sheet.name}: column {found[0]!r} without the other end, {low!r} or {high!r}")
        if found:
            return tuple(found)
    return next(((known[plain(stem + end)],) for end in errors if plain(stem + end) in known), ())


def _standard_error(
    sheet: Table, place: str, row: dict[str, Any], value: float, ends: tuple[str, ...]
) -> float:
    if not ends or all(row[end] is None for end in ends):
        return math.nan
    found = [number(sheet, place, end, row[end]) for end in ends]
    if len(found) == 1:
        if found[0] < 0:
            raise ValueError(f"{sheet.name} {place}, column {ends[0]!r}: {found[0]:g} must be 0 or more")
        return found[0]
    low, high = found
    if not low <= value <= high:
        raise ValueError(
            f"{sheet.name} {place}, columns {ends[0]!r} and {ends[1]!r}: the interval [{low:g}, {high:g}] does "
            f"not hold {value:g}; low <= value <= high is needed"
        )
    return standard_error(low, high, PUBLISHED)


def _refuse_repeats(sheet: Table, cells: list[_Cell]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for cell in cells:
        key = (cell.model, cell.quantity)
        if key in seen:
            raise ValueError(
                f"{sheet.name} {cell.place}: {cell.quantity!r} of model {cell.model!r} stands in {seen[key]} too"
            )
        seen[key] = cell.place


def _frames(cells: list[_Cell]) -> tuple[pd.DataFrame, pd.DataFrame]:
    models = {name: i for i, name in enumerate(sorted({cell.model for cell in cells}))}
    quantities = {name: j for j, name in enumerate(dict.fromkeys(cell.quantity for cell in cells))}
    values = np.full((2, len(models), len(quantities)), np.nan)
    for cell in cells:
        values[:, models[cell.model], quantities[cell.quantity]] = cell.value, cell.error
    return tuple(pd.DataFrame(part, list(models), list(quantities)) for part in values)  # type: ignore[return-value]
