"""Finds, for every model of a run, its score on each benchmark that a table of public models knows.

A task is taken for a benchmark only when its name and its metric say so: `mmlu_pro` is not MMLU, and a
two-way choice made from TruthfulQA is not its mc2. A user who knows better says so in `names`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from tasks.preference.sheets.model_names import normalised

SCORE_COLUMNS = ("model", "task", "metric", "value", "stderr")
_SPLIT = r"(_(val|valid|validation|test))?"
USUAL_NAMES = {
    "ARC-C": rf"arc_?(c|challenge){_SPLIT}",
    "HellaSwag": rf"hella_?swag{_SPLIT}",
    "MMLU": rf"mmlu{_SPLIT}",
    "Winogrande": rf"winogrande(_(xs|s|m|l|xl|debiased))?{_SPLIT}",
    "TruthfulQA": rf"truthful_?qa_mc2{_SPLIT}",
    "GSM8K": rf"gsm_?8k{_SPLIT}",
    "HumanEval": rf"human_?eval{_SPLIT}",
    "MTBench": r"mt_?bench",
}
# The metric that the published figures are in comes first; one that stands in for it is named in a note.
METRICS = {
    "ARC-C": ("acc_norm", "acc"),
    "HellaSwag": ("acc_norm", "acc"),
    "MMLU": ("acc",),
    "Winogrande": ("acc",),
    "TruthfulQA": ("mc2", "acc"),
    "GSM8K": ("exact_match,strict-match", "exact_match", "exact_match,flexible-extract"),
    "HumanEval": ("pass@1",),
    "MTBench": ("score",),
}
FRACTIONS = ("acc", "acc_norm", "exact_match", "mc2", "pass@1")
OTHER_METRICS = ("acc_norm", "acc", "exact_match", "mc2", "pass@1", "score")


@dataclass(frozen=True)
class MatchedScores:
    """Scores and standard errors of the run's models (models x benchmarks, NaN where none), with remarks."""

    scores: pd.DataFrame
    errors: pd.DataFrame
    notes: tuple[str, ...]


def match_scores(
    scores: pd.DataFrame, benchmarks: list[str], names: dict[str, str], table: pd.DataFrame
) -> MatchedScores:
    """scores: rows of model, task, metric, value, stderr (NaN unknown) -> one cell a model and benchmark.

    names: task -> one of the benchmarks, before the usual names. table: models x benchmarks, the public figures; where
    those of a benchmark lie in [0, 1] a run's score must too. Raises ValueError for a missing column, a repeated row,
    or a value that is no number or on another scale.
    """
    _check(scores)
    models = sorted(scores["model"].unique())
    found = pd.DataFrame(float("nan"), index=models, columns=benchmarks, dtype=float)
    errors = found.copy()
    notes: list[str] = []
    for benchmark in benchmarks:
        tasks = tasks_for(benchmark, sorted(scores["task"].unique()), names)
        if len(tasks) > 1:
            notes.append(f"Tasks {tasks} all look like {benchmark}: none was used; say which in `names`.")
        if len(tasks) != 1:
            continue
        rows = scores[scores["task"] == tasks[0]]
        wanted = METRICS.get(benchmark, OTHER_METRICS)
        metric = _metric(rows["metric"].unique().tolist(), wanted)
        if metric is None:
            have = sorted(rows["metric"].unique())
            notes.append(
                f"Task {tasks[0]} has {have} but none of {list(wanted)}, in which {benchmark} is published."
            )
            continue
        if benchmark in METRICS and metric.split(",")[0] != wanted[0].split(",")[0]:
            notes.append(
                f"{benchmark} is published as {wanted[0]}; task {tasks[0]} gave only {metric}, used instead."
            )
        unit_scale = bool(table[benchmark].dropna().between(0, 1).all())
        if metric.split(",")[0] in FRACTIONS and not unit_scale:
            raise ValueError(
                f"preference.table: {benchmark} reaches {table[benchmark].max():g}, but {metric} of {tasks[0]} is a "
                "fraction; the table's figures must lie in [0, 1] too"
            )
        unknown_error = []
        for _, row in rows[rows["metric"] == metric].iterrows():
            value = float(row["value"])
            if unit_scale and not 0 <= value <= 1:
                raise ValueError(
                    f"scores: {row['model']} on {row['task']} is {value:g}, but the table has {benchmark} "
                    "as a fraction; a value in [0, 1] is needed"
                )
            found.loc[row["model"], benchmark] = value
            errors.loc[row["model"], benchmark] = row["stderr"]
            if pd.isna(row["stderr"]):
                unknown_error.append(row["model"])
        if unknown_error:
            notes.append(
                f"No standard error of {benchmark} for {unknown_error}: intervals leave its noise out."
            )
    return MatchedScores(found, errors, tuple(notes))


def _check(scores: pd.DataFrame) -> None:
    lacking = [name for name in SCORE_COLUMNS if name not in scores.columns]
    if lacking:
        raise ValueError(f"scores: columns {lacking} are missing; needed are {list(SCORE_COLUMNS)}")
    repeated = scores[scores.duplicated(["model", "task", "metric"])]
    if len(repeated):
        first = repeated.iloc[0]
        raise ValueError(
            f"scores: two rows for model {first['model']}, task {first['task']}, metric {first['metric']}"
        )
    for column, may_be_unknown in (("value", False), ("stderr", True)):
        cells = pd.to_numeric(scores[column], errors="coerce")
        bad = cells.isna() & ~(scores[column].isna() & may_be_unknown) | cells.abs().eq(float("inf"))
        if column == "stderr":
            bad |= cells < 0
        if bad.any():
            row = scores[bad].iloc[0]
            raise ValueError(
                f"scores: {column} of model {row['model']}, task {row['task']}, metric {row['metric']} is "
                f"{row[column]}; a finite number is needed{', 0 or more' if column == 'stderr' else ''}"
            )


def tasks_for(benchmark: str, tasks: list[str], names: dict[str, str]) -> list[str]:
    """The tasks that are taken for a benchmark, by `names` or by their own."""
    named = [task for task in tasks if names.get(task) == benchmark]
    if named:
        return named
    pattern = USUAL_NAMES.get(benchmark)
    unnamed = [task for task in tasks if task not in names]
    if pattern is None:
        return [task for task in unnamed if normalised(task) == normalised(benchmark)]
    return [task for task in unnamed if re.fullmatch(pattern, task.lower().replace("-", "_"))]


def _metric(present: list[str], wanted: tuple[str, ...]) -> str | None:
    """The first wanted metric that is present, as it is or before a filter's name ('acc,none')."""
    filtered = {
        key: sorted(group) for key, group in groupby(sorted(present), key=lambda name: name.split(",")[0])
    }
    for name in wanted:
        if name in present:
            return name
        if name in filtered and len(filtered[name]) == 1:
            return filtered[name][0]
    return None
