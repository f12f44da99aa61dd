"""The layout of lm-evaluation-harness' results: <folder>/<model>/results_<time>.json, and samples beside it.

Its own tracker writes the files. They are read by what they hold, so that older versions' and other tools' are, too.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from tasks.evaluation.metrics import lower_is_better
from tasks.tables.json_lines import read_json

if TYPE_CHECKING:
    import pandas as pd

    from tasks.evaluation.scores import Scores

PATTERN = "results*.json"
# Where a task has several metrics, the first of these stands for it: what leaderboards print.
PREFERRED = (
    "acc_norm",
    "exact_match",
    "acc",
    "mc2",
    "f1",
    "pass@1",
    "pass_at_1",
    "word_perplexity",
    "bits_per_byte",
)


def write_harness_results(folder: Path, name: str, scores: Scores, config: Mapping[str, Any]) -> None:
    """Writes the results and samples of one model into <folder>/<name>/, our standard errors in place of its own.

    config: of the run, as the harness has it under that word (model, model_args, batch_size, ...). Held-out text
    stands among the tasks, `heldout:<source>`. Raises OSError where nothing can be written.
    """
    from lm_eval.loggers import EvaluationTracker

    from tasks.benchmarks.quiet_harness import quiet_harness

    told = {part: copy.copy(value) for part, value in scores.harness.items() if part != "samples"}
    results = {task: dict(values) for task, values in told.get("results", {}).items()}
    told["results"] = results
    for row in scores.rows():
        metric, _, chosen = row["metric"].partition(":")
        if row["task"] not in results:
            results[row["task"]] = {"alias": row["task"], f"{metric},none": row["value"]}
            for part, value in (
                ("n-samples", {"original": row["n"], "effective": row["n"]}),
                ("n-shot", 0),
                ("versions", 1),
                ("higher_is_better", {metric: not lower_is_better(metric)}),
            ):
                told.setdefault(part, {})[row["task"]] = value
        for key in list(results[row["task"]]):
            if key.startswith(f"{metric},") and chosen in ("", key.partition(",")[2]):
                error = f"{metric}_stderr,{key.partition(',')[2]}"
                results[row["task"]][error] = "N/A" if row["stderr"] is None else row["stderr"]
    told["config"] = dict(config)
    tracker = EvaluationTracker(output_path=str(folder))
    kept = tracker.general_config_tracker
    kept.model_source, kept.model_name, kept.model_name_sanitized = "hf", name, name
    samples = copy.deepcopy(scores.harness.get("samples", {}))
    with quiet_harness():
        tracker.save_results_aggregated(told, samples)
        if not any((folder / name).glob(PATTERN)):  # the tracker only warns
            raise OSError(f"{folder / name}: the results could not be written")
        for task, rows in samples.items():
            tracker.save_results_samples(task, rows)


def is_harness_results(path: Path) -> bool:
    """Whether a path that a user names is a results file, or a folder that may hold some."""
    return path.is_dir() or path.suffix.lower() == ".json"


@dataclass(frozen=True)
class _Found:
    """A task's score in a file; when: by which of several files the newest is told."""

    model: str
    task: str
    metric: str
    value: float
    stderr: float | None
    shots: str
    when: str
    file: Path


def read_harness_results(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """(table of model, benchmark, score, stderr; notes) of a results file, a folder of them, or folders of folders.

    Of a task's metrics one is taken, the first of `PREFERRED`; of a group that has a score, its own and not its
    parts'; of several files with a model's task, the newest. Raises ValueError for a folder without results, a
    file that is none, and a model's task with different numbers of examples shown.
    """
    import pandas as pd

    files = [path] if path.is_file() else sorted(path.rglob(PATTERN))
    if not files:
        raise ValueError(
            f"{path}: holds no {PATTERN}; allowed: results of lm-evaluation-harness, or folders of them"
        )
    kept: dict[tuple[str, str], _Found] = {}
    replaced = 0
    for file in files:
        for found in _scores_of(file):
            before = kept.setdefault((found.model, found.task), found)
            if before is found:
                continue
            if before.shots != found.shots:
                raise ValueError(
                    f"{found.file}: {found.task!r} of {found.model!r} is {found.shots}-shot, in {before.file} "
                    f"{before.shots}-shot; give those of one kind"
                )
            replaced += 1
            if found.when > before.when:
                kept[found.model, found.task] = found
    rows = [
        {"model": f.model, "benchmark": f.task, "score": f.value, "stderr": f.stderr} for f in kept.values()
    ]
    metrics = dict.fromkeys(f"{f.task} by {f.metric}" for f in kept.values())
    notes = [f"{path}: {len(files)} results of lm-evaluation-harness: {', '.join(metrics)}."]
    if replaced:
        notes.append(f"{path}: {replaced} scores stand in several files; the newest was taken.")
    return pd.DataFrame(rows), [*notes, *_mixed(path, list(kept.values()))]


def _mixed(path: Path, found: Sequence[_Found]) -> Iterator[str]:
    """What makes scores of a task hard to compare: other metrics or numbers of examples from model to model."""
    for task in dict.fromkeys(f.task for f in found):
        kinds = dict.fromkeys(f"{f.shots}-shot {f.metric}" for f in found if f.task == task)
        if len(kinds) > 1:
            yield f"{path}: {task!r} is not the same for all models: {', '.join(kinds)}."


def _scores_of(file: Path) -> Iterator[_Found]:
    told = read_json(file)
    results = told.get("results") if isinstance(told, dict) else None
    if not isinstance(results, dict) or not all(isinstance(r, dict) for r in results.values()):
        raise ValueError(f"{file}: no results of lm-evaluation-harness: it has no object `results` of tasks")
    scored = {task: one for task, values in results.items() if (one := _one_metric(values)) is not None}
    parts = told.get("group_subtasks") or {}
    inside = {part for group, names in parts.items() if group in scored for part in names if part != group}
    for task, (metric, value, stderr) in scored.items():
        if task not in inside:
            shots = str((told.get("n-shot") or {}).get(task, "?"))
            yield _Found(_model(told, file), task, metric, value, stderr, shots, _when(told, file), file)


def _one_metric(values: Mapping[str, Any]) -> tuple[str, float, float | None] | None:
    """(metric, value, standard error) of a task; None where it has no number, as a group without a score of its own."""
    metrics: dict[str, str] = {}
    for key, value in values.items():
        metric, _, _ = key.partition(",")
        if not metric.endswith("_stderr") and metric not in ("alias", "sample_len", "samples") and _is(value):
            metrics.setdefault(metric, key)
    if not metrics:
        return None
    metric = next((name for name in PREFERRED if name in metrics), next(iter(metrics)))
    key = metrics[metric]
    stderr = values.get(f"{metric}_stderr{key[len(metric) :]}")
    return metric, float(values[key]), float(stderr) if _is(stderr) else None


def _is(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _model(told: Mapping[str, Any], file: Path) -> str:
    """As the file says, or else its folder, whose name stands for `organisation/name`."""
    config = told.get("config") or {}
    arguments = config.get("model_args") or ""
    if isinstance(arguments, dict):
        named = arguments.get("pretrained") or arguments.get("model") or ""
    else:
        found = re.search(r"(?:^|,)(?:pretrained|model)=([^,]+)", str(arguments))
        named = found.group(1) if found else ""
    return str(told.get("model_name") or named or file.parent.name.replace("__", "/"))


def _when(told: Mapping[str, Any], file: Path) -> str:
    """When the file was made: by its name, which ends with the time, or the time since 1970 that it states."""
    stamp = file.stem.removeprefix("results").removeprefix("_")
    date = told.get("date")
    return stamp or (f"{date:020.6f}" if isinstance(date, int | float) else "")
