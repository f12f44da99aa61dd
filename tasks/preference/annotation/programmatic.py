"""Annotators that are programs: rules with a known answer judge responses, and are never taken for people.

A rule says of a response whether it holds: its answer is known without a person. Two models' responses to one item
give a choice: the one whose response holds, or a tie. The annotator of every such row is 'programmatic:RULE', and
what comes of them is called programmatic throughout; a table that mixes them with people is refused
(`origin`). The rules stand in `annotators`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from tasks.preference.annotation.annotators import RULES_BY_NAME
from tasks.preference.annotation.judgements import Judgements
from tasks.tables.reading import Source, not_empty, table_of
from tasks.tables.table import as_text, column_named, text

PREFIX = "programmatic:"
HUMAN, PROGRAMMATIC = "human", "programmatic"
RULES: dict[str, Callable[[str, str], bool]] = {name: rule.holds for name, rule in RULES_BY_NAME.items()}


def annotate(responses: Source) -> Judgements:
    """Choices by rule between all models that answered an item.

    responses: item, model, response, rule, and where the rule needs one argument; optionally area, category,
    subcategory, and document, of which the item is a part: items of one document and category are one cluster for
    `aggregating`. Raises ValueError naming the row of an unknown rule, a missing argument, or a repeated answer.
    """
    sheet = not_empty(table_of(responses, "responses"))
    columns = {
        name: column_named(sheet, (name,)) for name in ("item", "model", "response", "rule", "argument")
    }
    lacking = [name for name in ("item", "model", "response", "rule") if columns[name] is None]
    if lacking:
        raise ValueError(f"{sheet.name}: columns {lacking} are missing; columns are {sheet.columns}")
    places = {name: column_named(sheet, (name,)) for name in ("area", "category", "subcategory")}
    document = column_named(sheet, ("document",))
    cluster_of: dict[tuple[str, str], str] = {}
    held: dict[tuple[str, ...], dict[str, bool]] = {}
    for place, row in sheet.rows:
        told = {name: text(sheet, place, row, columns[name] or "") for name in ("item", "model", "rule")}
        argument = _cell(row, columns["argument"])
        _check_rule(f"{sheet.name} {place}", told["rule"], argument)
        where = tuple(_cell(row, column) for column in places.values())
        part_of = _cell(row, document)
        cluster = f"{where[1]}/document {part_of}" if part_of else told["item"]
        if cluster_of.setdefault((told["item"], where[1]), cluster) != cluster:
            raise ValueError(
                f"{sheet.name} {place}, column 'document': {part_of!r}; another row has item {told['item']!r} of "
                "another document"
            )
        answers = held.setdefault((told["item"], told["rule"], argument, *where), {})
        if told["model"] in answers:
            raise ValueError(f"{sheet.name} {place}: {told['model']!r} answered item {told['item']!r} twice")
        answers[told["model"]] = RULES[told["rule"]](_cell(row, columns["response"]), argument)
    rows = []
    for (item, rule, argument, *named), answers in held.items():
        for first, second in combinations(sorted(answers), 2):
            rows.append(
                {
                    "item": item,
                    "cluster": cluster_of[item, named[1]],
                    "annotator": f"{PREFIX}{rule}{f'({argument})' if argument else ''}",
                    **dict(zip(places, named, strict=True)),
                    "turns": math.nan,
                    "first": first,
                    "second": second,
                    "value": 0.5 + 0.5 * (int(answers[first]) - int(answers[second])),
                    "weight": 1.0,
                }
            )
    if not rows:
        raise ValueError(f"{sheet.name}: no item was answered by two models; a choice needs two")
    return Judgements(pd.DataFrame(rows), "choice", sheet.name)


def choices_table(judgements: Judgements) -> pd.DataFrame:
    """Columns as `judgements.read_judgements` takes choices: item, places, model_a, model_b, annotator, choice."""
    rows = judgements.rows.rename(columns={"first": "model_a", "second": "model_b"})
    choice = rows["value"].map({1.0: "A", 0.5: "tie", 0.0: "B"})
    columns = ["item", "area", "category", "subcategory", "model_a", "model_b", "annotator"]
    return rows[columns].assign(choice=choice)


def origin(judgements: Judgements) -> str:
    """'human' or 'programmatic'. Raises ValueError where a table has both."""
    marked = judgements.rows["annotator"].str.startswith(PREFIX)
    if marked.any() and not marked.all():
        raise ValueError(
            f"{judgements.name}: {int(marked.sum())} of {len(marked)} judgements are programmatic; programs and "
            "people must not stand in one table"
        )
    return PROGRAMMATIC if marked.any() else HUMAN


def _cell(row: Mapping[str, Any], column: str | None) -> str:
    """The cell as text, '' where there is none."""
    return "" if column is None else as_text(row[column])


def _check_rule(place: str, rule: str, argument: str) -> None:
    if rule not in RULES_BY_NAME:
        raise ValueError(f"{place}, column 'rule': {rule!r} must be one of {list(RULES_BY_NAME)}")
    try:
        RULES_BY_NAME[rule].check(argument)
    except ValueError as error:
        raise ValueError(f"{place}, column 'argument': {error}") from error
