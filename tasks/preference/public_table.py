"""The table of public models, with benchmark scores and one human rating, that the stage fits on.

The bundled table, `public_models.csv`, holds published figures of 27 chat models, one figure a row. All are
from `eval_results/instruct_llm_benchmark_eval.csv` of ryoungj/ObsScaling at the commit each row names (Ruan,
Maddison and Hashimoto 2024, arXiv 2405.10938), melted to long form and rounded to six decimals. 19 of the
models have a human rating: the Chatbot Arena Elo of that time, min-max rescaled to 0-1 by those authors (0 is
dolly-v2-12b, 1 is gpt-4-0314), published without intervals. Scores of the open models follow the Open LLM
Leaderboard's protocol (25-shot ARC-C, 10-shot HellaSwag, 5-shot MMLU, Winogrande and GSM8K, TruthfulQA mc2)
and EvalPlus for HumanEval; the closed models' look like their makers' own reports (GPT-4's are those of
its technical report), so the two groups are not strictly on one scale.

A larger table of arena figures, `arena_elo` of IBM/benchbench (November 2024), was left out: it ranks
llama-2-70b-chat above gpt-4-0613 and claude-3-haiku below openchat-3.5, and two scales do not mix in one
column.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tasks.preference.sheets.figures import Figures, read_figures
from tasks.preference.sheets.model_names import normalised
from tasks.tables.reading import not_empty, table_of
from tasks.tables.table import Table

BUNDLED = Path(__file__).with_name("public_models.csv")
PROMPTS = (
    "The public figures are few-shot (25 ARC-C, 10 HellaSwag, 5 MMLU, Winogrande, GSM8K), closed models' probably "
    "their makers' own; a run's scores under other prompts shift its forecast by an unknown amount.",
)
PROVENANCE = ("source", "source_commit", "licence")


@dataclass(frozen=True)
class PublicTable:
    """figures: of the public models. units: quantity -> the units that the table states, joined.

    sources: who published the figures. notes: what to mind when a run's scores are set beside them.
    """

    figures: Figures
    units: dict[str, str]
    sources: list[dict[str, str]]
    notes: tuple[str, ...] = ()


def read_table(path: Path | None = None) -> PublicTable:
    """The table at `path` (see `PreferenceSettings.table`); None reads the bundled one.

    Raises ValueError for what `sheets.figures.read_figures` refuses, and for names of models that differ only in case
    or punctuation.
    """
    source = BUNDLED if path is None else path
    sheet = not_empty(table_of(source, "preference.table"))
    about = [name for name in ("unit", *PROVENANCE) if name in sheet.columns]
    figures = read_figures(source, "preference.table", ignore=about)
    _refuse_names_alike(figures)
    return PublicTable(
        figures, _units(sheet, figures), _sources(sheet), PROMPTS if path is None else figures.notes
    )


def _units(sheet: Table, figures: Figures) -> dict[str, str]:
    found: dict[str, set[str]] = defaultdict(set)
    if "unit" in sheet.columns:
        for _, row in sheet.rows:
            quantities = [row["quantity"]] if "quantity" in sheet.columns else figures.values.columns
            for quantity in quantities:
                found[quantity].add(row["unit"] or "")
    return {quantity: "; ".join(sorted(units - {""})) for quantity, units in found.items()}


def _sources(sheet: Table) -> list[dict[str, str]]:
    rows = [{name: row.get(name) or "" for name in PROVENANCE} for _, row in sheet.rows]
    told = {tuple(row.values()): row for row in rows if any(row.values())}
    return [told[key] for key in sorted(told)]


def _refuse_names_alike(figures: Figures) -> None:
    alike = defaultdict(list)
    for model in figures.values.index:
        alike[normalised(model)].append(model)
    clashes = [names for names in alike.values() if len(names) > 1]
    if clashes:
        raise ValueError(
            f"{figures.name}: model names that differ only in case or punctuation: {clashes}; write them alike"
        )
