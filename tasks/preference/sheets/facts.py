"""Facts of models that stand beside their figures: family, parameters in billions, date of release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tasks.tables.table import Table, column_named, number, text

FAMILY = ("family", "model_family")
PARAMS = ("params_b", "params (b)", "model size (b)", "size_b", "parameters_b")
DATE = ("date", "release_date", "released", "created")


def read_facts(sheet: Table, model: str, ignore: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    found = {
        kind: column
        for kind, names in (("family", FAMILY), ("params_b", PARAMS), ("date", DATE))
        if (column := column_named(sheet, names)) is not None and column not in ignore and column != model
    }
    facts: dict[str, dict[str, Any]] = {}
    for place, row in sheet.rows:
        name = text(sheet, place, row, model)
        facts.setdefault(name, {})
        for kind, column in found.items():
            cell = row[column]
            if cell is None:
                continue
            fact: Any = str(cell) if kind == "family" else _params_or_day(sheet, place, kind, column, cell)
            known = facts[name].setdefault(kind, fact)
            if known != fact:
                raise ValueError(
                    f"{sheet.name} {place}, column {column!r}: {cell!r} for {name!r}, before {known!r}"
                )
    frame = pd.DataFrame.from_dict(facts, orient="index").reindex(columns=list(found))
    return frame, list(found.values())


def _params_or_day(sheet: Table, place: str, kind: str, column: str, cell: Any) -> float:
    if kind == "params_b":
        params = number(sheet, place, column, cell, "a number of parameters in billions")
        if params <= 0:
            raise ValueError(
                f"{sheet.name} {place}, column {column!r}: {params:g} must be above 0 (billions)"
            )
        return params
    try:
        day = pd.Timestamp(cell)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{sheet.name} {place}, column {column!r}: {cell!r} is no date; 2024-05-13 is one"
        ) from error
    return (day.tz_localize(None) - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
