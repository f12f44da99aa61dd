"""Annotators that are programs: rules with a known answer judge responses, and are never taken for people.

A rule says of a response whether it holds: its answer is known without a person. Two models' responses to one item
give a choice: the one whose response holds, or a tie. The annotator of every such row is 'programmatic:RULE', and
what comes of them is called programmatic throughout; a table that mixes them with people is refused
(`origin`).

    contains       the argument stands in the response (case does not count)
    equals         the response is the argument, blanks around it apart
    answer         the last number of the response is the argument
    words_at_most  no more words than the argument
    words_exactly  as many words as the argument
    starts_with, ends_with   with the argument
    first_word     the first word, up to a blank, is the argument
    json           the response is a JSON value
    no_repeat      no run of as many words as the argument comes twice
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from tasks.preference.annotation.judgements import Judgements
from tasks.tables.reading import Source, as_text, column_named, not_empty, table_of, text

PREFIX = "programmatic:"
HUMAN, PROGRAMMATIC = "human", "programmatic"
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def _is_json(response: str, argument: str) -> bool:
    try:
        json.loads(response)
    except json.JSONDecodeError:
        return False
    return True


def _last_number(response: str, argument: str) -> bool:
    found = NUMBER.findall(response)
    return bool(found) and math.isclose(float(found[-1].replace(",", "")), float(argument))


def _no_repeat(response: str, argument: str) -> bool:
    words, size = response.lower().split(), int(argument)
    runs = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    return bool(words) and len(runs) == len(set(runs))


RULES: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda response, argument: argument.lower() in response.lower(),
    "equals": lambda response, argument: response.strip() == argument.strip(),
    "answer": _last_number,
    "words_at_most": lambda response, argument: 0 < len(response.split()) <= int(argument),
    "words_exactly": lambda response, argument: len(response.split()) == int(argument),
    "starts_with": lambda response, argument: response.lstrip().startswith(argument),
    "ends_with": lambda response, argument: response.rstrip().endswith(argument),
    "first_word": lambda response, argument: response.split()[:1] == [argument],
    "json": _is_json,
    "no_repeat": _no_repeat,
}
NUMERIC = ("answer", "words_at_most", "words_exactly", "no_repeat")


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
    if rule not in RULES:
        raise ValueError(f"{place}, column 'rule': {rule!r} must be one of {list(RULES)}")
    if rule != "json" and not argument:
        raise ValueError(f"{place}, column 'argument': empty; the rule {rule!r} needs one")
    if rule in NUMERIC:
        try:
            value = float(argument)
        except ValueError as error:
            raise ValueError(f"{place}, column 'argument': {argument!r} must be a number") from error
        if rule != "answer" and (value < 1 or value != int(value)):
            raise ValueError(f"{place}, column 'argument': {argument!r} must be a whole number above 0")
