"""What lm-evaluation-harness gave as scores: a row a task and metric with its standard error, and every sample."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from lm_eval.api.group import Group
from lm_eval.api.metrics import mean
from lm_eval.api.task import Task

from tasks.benchmarks.benchmark_tasks import bits_of, kind_of
from tasks.benchmarks.harness_tasks import LoadedTasks
from tasks.evaluation.scores import Scores
from tasks.evaluation.standard_errors import jackknife_error, mean_error, ratio, weighted_mean_error


def harness_scores(
    name: str, loaded: LoadedTasks, results: dict[str, Any], sizes: Mapping[str, int] | None = None
) -> Scores:
    """sizes: of the tasks, where only some of their items were asked; groups weigh by them."""
    rows, samples = [], []
    for task_name, task in loaded.tasks.items():
        logged = results["samples"][task_name]
        filters = {sample["filter"] for sample in logged}
        for metric, key, values in _values(logged):
            shown = metric if len(filters) == 1 else f"{metric}:{key}"
            value = float(results["results"][task_name][f"{metric},{key}"])
            stderr = _error(task, metric, values)
            rows.append(_row(name, task_name, shown, value, stderr, len(values)))
            samples += [
                {"model": name, "task": task_name, "metric": shown, **_sample(task, metric, sample)}
                for sample in logged
                if sample["filter"] == key and metric in sample["metrics"]
            ]
    rows += [
        row
        for group in loaded.groups.values()
        for row in _group_rows(group, results["results"], rows, name, sizes)
    ]
    return replace(Scores.from_rows(rows, samples), harness=results)


def _row(model: str, task: str, metric: str, value: float, stderr: float, n: int) -> dict[str, Any]:
    return {"model": model, "task": task, "metric": metric, "value": value, "stderr": stderr, "n": n}


def _values(logged: list[dict[str, Any]]) -> Iterator[tuple[str, str, list[Any]]]:
    """(metric, filter, value of each item) in the order of their first appearance."""
    values: dict[tuple[str, str], list[Any]] = {}
    for sample in logged:
        for metric in sample["metrics"]:
            values.setdefault((metric, sample["filter"]), []).append(sample[metric])
    for (metric, key), listed in values.items():
        yield metric, key, listed


def _error(task: Task, metric: str, values: list[Any]) -> float:
    """The harness gives errors of means only, or by many bootstraps in processes of its own."""
    aggregate: Any = task.aggregation().get(metric, mean)
    if aggregate is mean:
        return mean_error(values)
    if metric == "bits_per_byte":
        return ratio([bits_of(value) for value in values], [value[1] for value in values])[1]
    return jackknife_error(aggregate, values)


def item_name(doc: Any, place: int) -> str:
    return str(doc["id"]) if isinstance(doc, dict) and "id" in doc else str(place)


def _sample(task: Task, metric: str, sample: dict[str, Any]) -> dict[str, Any]:
    value, doc = sample[metric], sample["doc"]
    if metric == "bits_per_byte":
        value = bits_of(value) / value[1]
    prediction, target = _answers(task, metric, sample)
    return {
        "item": item_name(doc, sample["doc_id"]),
        "value": float(value) if isinstance(value, int | float | np.number) else math.nan,
        "prediction": prediction,
        "target": target,
        "outputs": json.dumps(sample["filtered_resps"], default=str),
    }


def _answers(task: Task, metric: str, sample: dict[str, Any]) -> tuple[str, str]:
    """What the model chose or wrote (empty where it only gave a likelihood), and what was right."""
    outputs, target = sample["filtered_resps"], sample["target"]
    if task.OUTPUT_TYPE == "generate_until":
        return str(outputs[0]), str(target)
    if task.OUTPUT_TYPE != "multiple_choice":
        return "", str(target)
    if (kind := kind_of(task)) is not None:
        return kind.answered(sample["doc"], outputs, metric)
    choices = task.doc_to_choice(sample["doc"])
    nats = np.array([nats for nats, _ in outputs[: len(choices)]])
    if metric == "acc_norm":
        nats = nats / [len(choice) for choice in choices]
    chosen = choices[int(np.argmax(nats))]
    gold = task.doc_to_text(sample["doc"]) if getattr(task, "multiple_input", 0) else target
    gold = gold[0] if isinstance(gold, list) and gold else gold
    return chosen, choices[gold] if isinstance(gold, int) and 0 <= gold < len(choices) else str(gold)


def _group_rows(
    group: Group,
    results: dict[str, Any],
    rows: list[dict[str, Any]],
    name: str,
    sizes: Mapping[str, int] | None,
) -> Iterator[dict[str, Any]]:
    """A group's own score, where it defines one, with the error of the weighted mean of its tasks.

    sizes: of its tasks, where not all items were asked; the harness, which weighs by those that were, is corrected.
    """
    members = {task.task_name for task in group.get_all_tasks()}
    by_size = {config.metric: config.weight_by_size for config in group.aggregate_metric_list or []}
    for key, value in list(results.get(group.name, {}).items()):
        metric, _, chosen_filter = key.partition(",")
        if metric not in by_size or not isinstance(value, int | float | np.number):
            continue
        names = (metric, f"{metric}:{chosen_filter}")
        parts = [row for row in rows if row["task"] in members and row["metric"] in names]
        of = {row["task"]: row["n"] for row in parts} if sizes is None else sizes
        weights = [of[row["task"]] if by_size[metric] else 1 for row in parts]
        if sizes is not None and parts:
            value = float(np.average([row["value"] for row in parts], weights=weights))
            results[group.name][key] = value
        error = weighted_mean_error([row["stderr"] for row in parts], weights) if parts else math.nan
        shown = parts[0]["metric"] if parts else metric
        yield _row(name, group.name, shown, float(value), error, sum(row["n"] for row in parts))
