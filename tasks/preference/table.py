"""Reads a table of public models with benchmark scores and human ratings, and names every bad cell.

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

import csv
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

BUNDLED = Path(__file__).with_name("public_models.csv")
LONG_REQUIRED = ("model", "quantity", "value")
LONG_OPTIONAL = (
    "family",
    "params_b",
    "unit",
    "source",
    "source_commit",
    "licence",
    "value_low",
    "value_high",
)
PROVENANCE = ("unit", "source", "source_commit", "licence")
WIDE_ABOUT = ("model", "family", "params_b", *PROVENANCE)
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class ModelTable:
    """Public models in canonical order (by name), so that the order of a file's rows changes no result.

    values: models x quantities, NaN where a figure is missing. errors: the same shape, the standard error of
    each figure, NaN where no interval was published. families, params_b (billions, NaN unknown): by model.
    provenance: one row a figure (model, quantity, unit, source, source_commit, licence). name: the file's
    name.
    """

    values: pd.DataFrame
    errors: pd.DataFrame
    families: pd.Series
    params_b: pd.Series
    provenance: pd.DataFrame
    name: str

    def unit(self, quantity: str) -> str:
        """The unit that the table states for a quantity; several are joined, none is an empty string."""
        units = self.provenance.loc[self.provenance["quantity"] == quantity, "unit"]
        return "; ".join(sorted({unit for unit in units if unit}))


@dataclass(frozen=True)
class _Figure:
    line: int
    model: str
    quantity: str
    value: float
    error: float
    about: dict[str, str]


def normalised(name: str) -> str:
    """A model name without organisation, case and punctuation: 'lmsys/Vicuna-13b_v1.5' -> 'vicuna13bv15'."""
    return re.sub(r"[^a-z0-9]", "", name.rsplit("/", 1)[-1].lower())


def read_table(path: Path | None = None) -> ModelTable:
    """The table at `path` (long or wide CSV, see `PreferenceSettings.table`); None reads the bundled one.

    A model without a family is a family of its own. Raises ValueError naming file, line and column of a bad
    cell.
    """
    path = BUNDLED if path is None else Path(path)
    header, rows = _read_rows(path)
    figures = _long_figures(path, header, rows) if "quantity" in header else _wide_figures(path, header, rows)
    if not figures:
        raise ValueError(f"{path}: holds no figure; at least one model with a value is needed")
    return _assemble(path, figures)


def _read_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; a CSV of models, benchmark scores and ratings is needed")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not UTF-8") from error
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    if not header:
        raise ValueError(f"{path}: empty; a header line with a column 'model' is needed")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated or "" in header:
        raise ValueError(
            f"{path} line 1: column names must be given and differ; repeated or empty: {repeated or ['']}"
        )
    if "model" not in header:
        raise ValueError(f"{path} line 1: no column 'model'; columns are {header}")
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise ValueError(
                f"{path} line {reader.line_num}: {len(cells)} cells where the header has {len(header)}"
            )
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        if not row["model"]:
            raise ValueError(f"{path} line {reader.line_num}, column 'model': empty; a model name is needed")
        rows.append((reader.line_num, row))
    return header, rows


def _long_figures(path: Path, header: list[str], rows: list[tuple[int, dict[str, str]]]) -> list[_Figure]:
    lacking = [name for name in LONG_REQUIRED if name not in header]
    unknown = [name for name in header if name not in LONG_REQUIRED + LONG_OPTIONAL]
    if lacking or unknown:
        allowed = list(LONG_REQUIRED + LONG_OPTIONAL)
        raise ValueError(
            f"{path} line 1: missing columns {lacking}, unknown columns {unknown}; allowed are {allowed}"
        )
    figures = []
    for line, row in rows:
        if not row["quantity"]:
            raise ValueError(
                f"{path} line {line}, column 'quantity': empty; a benchmark or the rating is needed"
            )
        value = _number(path, line, "value", row["value"])
        error = _standard_error(path, line, value, row, "value")
        about = {name: row.get(name, "") for name in ("family", "params_b", *PROVENANCE)}
        figures.append(_Figure(line, row["model"], row["quantity"], value, error, about))
    return figures


def _wide_figures(path: Path, header: list[str], rows: list[tuple[int, dict[str, str]]]) -> list[_Figure]:
    bounds = {f"{name}_{end}" for name in header for end in ("low", "high")}
    quantities = [name for name in header if name not in WIDE_ABOUT and name not in bounds]
    if not quantities:
        raise ValueError(f"{path} line 1: no benchmark or rating column beside {header}")
    figures = []
    seen: dict[str, int] = {}
    for line, row in rows:
        if row["model"] in seen:
            raise ValueError(
                f"{path} line {line}, column 'model': {row['model']!r} stands in line {seen[row['model']]}"
            )
        seen[row["model"]] = line
        about = {name: row.get(name, "") for name in ("family", "params_b", *PROVENANCE)}
        for name in quantities:
            if row[name]:
                value = _number(path, line, name, row[name])
                error = _standard_error(path, line, value, row, name)
                figures.append(_Figure(line, row["model"], name, value, error, about))
    return figures


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path} line {line}, column {column!r}: {cell!r} is not a finite number")
    return value


def _standard_error(path: Path, line: int, value: float, row: dict[str, str], column: str) -> float:
    """Half the 95% interval over 1.96; NaN where none is given."""
    low_column, high_column = f"{column}_low", f"{column}_high"
    low_cell, high_cell = row.get(low_column, ""), row.get(high_column, "")
    if not low_cell and not high_cell:
        return math.nan
    low, high = _number(path, line, low_column, low_cell), _number(path, line, high_column, high_cell)
    if not low <= value <= high:
        raise ValueError(
            f"{path} line {line}, columns {low_column!r} and {high_column!r}: "
            f"[{low:g}, {high:g}] does not hold the value {value:g}; low <= value <= high is needed"
        )
    return (high - low) / (2 * NORMAL_95)


def _assemble(path: Path, figures: list[_Figure]) -> ModelTable:
    seen: dict[tuple[str, str], int] = {}
    for figure in figures:
        key = (figure.model, figure.quantity)
        if key in seen:
            raise ValueError(
                f"{path} line {figure.line}: {key[1]!r} of {key[0]!r} stands in line {seen[key]} too"
            )
        seen[key] = figure.line
    models = sorted({figure.model for figure in figures})
    _refuse_names_alike(path, models)
    quantities = list(dict.fromkeys(figure.quantity for figure in figures))
    values = pd.DataFrame(math.nan, index=models, columns=sorted(quantities))
    errors = values.copy()
    for figure in figures:
        values.loc[figure.model, figure.quantity] = figure.value
        errors.loc[figure.model, figure.quantity] = figure.error
    families = {model: family or model for model, family in _one_each(path, figures, "family").items()}
    params = {model: _parameters(path, *entry) for model, entry in _params_cells(path, figures).items()}
    provenance = pd.DataFrame(
        [{"model": f.model, "quantity": f.quantity, **{n: f.about[n] for n in PROVENANCE}} for f in figures]
    ).sort_values(["model", "quantity"], ignore_index=True)
    return ModelTable(
        values=values,
        errors=errors,
        families=pd.Series(families).reindex(models),
        params_b=pd.Series(params, dtype=float).reindex(models),
        provenance=provenance,
        name=path.name,
    )


def _refuse_names_alike(path: Path, models: list[str]) -> None:
    alike = defaultdict(list)
    for model in models:
        alike[normalised(model)].append(model)
    clashes = [names for names in alike.values() if len(names) > 1]
    if clashes:
        raise ValueError(
            f"{path}: model names that differ only in case or punctuation: {clashes}; write them alike"
        )


def _one_each(path: Path, figures: list[_Figure], column: str) -> dict[str, str]:
    cells: dict[str, tuple[str, int]] = {}
    for figure in figures:
        cell = figure.about[column]
        known, line = cells.setdefault(figure.model, (cell, figure.line))
        if cell != known:
            raise ValueError(
                f"{path} line {figure.line}, column {column!r}: {cell!r} for {figure.model!r}, "
                f"which has {known!r} in line {line}"
            )
    return {model: cell for model, (cell, _) in cells.items()}


def _params_cells(path: Path, figures: list[_Figure]) -> dict[str, tuple[int, str]]:
    first_line = {figure.model: figure.line for figure in reversed(figures)}
    return {model: (first_line[model], cell) for model, cell in _one_each(path, figures, "params_b").items()}


def _parameters(path: Path, line: int, cell: str) -> float:
    if not cell:
        return math.nan
    params = _number(path, line, "params_b", cell)
    if params <= 0:
        raise ValueError(
            f"{path} line {line}, column 'params_b': {cell} must be above 0 (billions of parameters)"
        )
    return params
