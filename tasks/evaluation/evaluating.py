"""Scores of a model on benchmarks, through lm-evaluation-harness, and on held-out text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lm_eval.api.group import Group
from lm_eval.api.metrics import mean
from lm_eval.api.task import Task
from lm_eval.evaluator import evaluate as run_harness

from tasks.benchmarks.benchmark_tasks import benchmark_task, bits_of, kind_of
from tasks.benchmarks.harness_tasks import LoadedTasks, capped_items, load_tasks, split_task
from tasks.benchmarks.items import Benchmark
from tasks.evaluation.harness_model import HarnessModel, harness_model
from tasks.evaluation.heldout_text import heldout_scores
from tasks.evaluation.model_reading import Reading
from tasks.evaluation.scores import Scores
from tasks.evaluation.standard_errors import jackknife_error, mean_error, ratio, weighted_mean_error

FEWSHOT_SEED = 1234
Side = Literal["dev", "test"]


@dataclass(frozen=True)
class ChosenItems:
    """Which items of lm-eval tasks are scored: all, or with `dev_share` those that `lm_eval_items` calls test.

    side: or those that it calls dev. max_items: at most, a task, chosen by content; dev and test together.
    """

    dev_share: float | None = None
    max_items: int | None = None
    side: Side = "test"


def evaluate(
    model: Any,
    tokenizer: Any,
    tasks: Sequence[Benchmark | str | dict[str, Any] | Path],
    *,
    name: str = "model",
    heldout: Mapping[str, Sequence[str]] | None = None,
    reading: Reading = Reading(),
    max_length: int | None = None,
    chosen: ChosenItems = ChosenItems(),
) -> Scores:
    """Scores of a causal language model on tasks, and its bits per byte of held-out text by source.

    A task is a `Benchmark`, all of whose items are scored (give the test side); a name of lm-eval (task,
    group, tag); a configuration of lm-eval; or a Path, a folder of lm-eval YAMLs. chosen: which items of
    lm-eval tasks are scored.
    A context longer than `max_length` tokens (default: the model's) loses its beginning. Every score has its
    standard error over items. The model's mode and the process' random states are left as they were.
    Raises ValueError for a task that is unknown, cannot be loaded, or is named twice, and for a tokenizer or
    length that does not fit the model.
    """
    with harness_model(model, tokenizer, reading, max_length) as wrapped:
        loaded = _load(tasks)
        parts = []
        if loaded.tasks:
            own = {task.name for task in tasks if isinstance(task, Benchmark)}
            indices = _indices(loaded, own, chosen)
            parts.append(_run(wrapped, loaded, indices, name))
        if heldout:
            parts.append(heldout_scores(wrapped, dict(heldout), name))
    if not parts:
        raise ValueError("nothing to evaluate on: tasks and heldout are empty; give at least one")
    return Scores.joined(parts)


def _load(tasks: Sequence[Benchmark | str | dict[str, Any] | Path]) -> LoadedTasks:
    found: dict[str, Task] = {}
    groups: dict[str, Group] = {}

    def add(more: dict[str, Task]) -> None:
        repeated = sorted(found.keys() & more.keys())
        if repeated:
            raise ValueError(f"task {repeated[0]!r} is given twice; every task needs a name of its own")
        found.update(more)

    for task in tasks:
        if isinstance(task, Benchmark):
            add({task.name: benchmark_task(task)})
    specs = [task for task in tasks if isinstance(task, str | dict)]
    folders = [task for task in tasks if isinstance(task, Path)]
    for position, folder in enumerate(folders or ([None] if specs else [])):
        loaded = load_tasks(specs if position == 0 else [], folder)
        add(loaded.tasks)
        groups.update(loaded.groups)
    return LoadedTasks(found, groups)


def _indices(loaded: LoadedTasks, own: set[str], chosen: ChosenItems) -> dict[str, list[int]]:
    others = {name: task for name, task in loaded.tasks.items() if name not in own}
    if chosen.dev_share is None:
        if chosen.max_items is None:
            return {}
        return {name: capped_items(name, task, chosen.max_items) for name, task in others.items()}
    split = {
        name: split_task(name, task, chosen.dev_share, chosen.max_items) for name, task in others.items()
    }
    return {name: list(getattr(items, f"{chosen.side}_indices")) for name, items in split.items()}


def _run(wrapped: HarnessModel, loaded: LoadedTasks, indices: dict[str, list[int]], name: str) -> Scores:
    for task in loaded.tasks.values():
        if task.config.num_fewshot is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
    task_dict: Any = {"tasks": loaded.tasks, "groups": loaded.groups, "group_map": {}}
    results: Any = run_harness(
        wrapped, task_dict, samples=indices or None, bootstrap_iters=0, log_samples=True
    )
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
        row for group in loaded.groups.values() for row in _group_rows(group, results["results"], rows, name)
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


def _sample(task: Task, metric: str, sample: dict[str, Any]) -> dict[str, Any]:
    value, doc = sample[metric], sample["doc"]
    if metric == "bits_per_byte":
        value = bits_of(value) / value[1]
    prediction, target = _answers(task, metric, sample)
    return {
        "item": str(doc["id"]) if isinstance(doc, dict) and "id" in doc else str(sample["doc_id"]),
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
    group: Group, results: dict[str, Any], rows: list[dict[str, Any]], name: str
) -> Iterator[dict[str, Any]]:
    """A group's own score, where it defines one, with the error of the weighted mean of its tasks."""
    members = {task.task_name for task in group.get_all_tasks()}
    by_size = {config.metric: config.weight_by_size for config in group.aggregate_metric_list or []}
    for key, value in results.get(group.name, {}).items():
        metric, _, chosen_filter = key.partition(",")
        if metric not in by_size or not isinstance(value, int | float | np.number):
            continue
        names = (metric, f"{metric}:{chosen_filter}")
        parts = [row for row in rows if row["task"] in members and row["metric"] in names]
        weights = [row["n"] if by_size[metric] else 1 for row in parts]
        error = weighted_mean_error([row["stderr"] for row in parts], weights) if parts else math.nan
        shown = parts[0]["metric"] if parts else metric
        yield _row(name, group.name, shown, float(value), error, sum(row["n"] for row in parts))
