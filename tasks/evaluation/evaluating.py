"""Scores of a model on benchmarks, through lm-evaluation-harness, and on held-out text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lm_eval.api.group import Group
from lm_eval.api.task import Task
from lm_eval.evaluator import evaluate as run_harness

from tasks.benchmarks.benchmark_tasks import benchmark_task
from tasks.benchmarks.code_tasks import CodeRunning
from tasks.benchmarks.harness_tasks import LoadedTasks, capped_items, load_tasks, split_task
from tasks.benchmarks.items import Benchmark
from tasks.evaluation.harness_model import HarnessModel, harness_model
from tasks.evaluation.harness_scores import harness_scores
from tasks.evaluation.heldout_text import heldout_scores
from tasks.evaluation.items_in_turn import ItemsInTurn, answering
from tasks.evaluation.model_reading import Reading
from tasks.evaluation.random_states import seed_everything
from tasks.evaluation.scores import Scores
from tasks.evaluation.stopping import AskedItems, Enough, ask_until_enough, asked_items

FEWSHOT_SEED = 1234
Side = Literal["dev", "test"]


@dataclass(frozen=True)
class ChosenItems:
    """Which items of lm-eval tasks are scored: all, or with `dev_share` those that `lm_eval_items` calls test.

    side: or those that it calls dev. max_items: at most, a task, chosen by content; dev and test together. enough: of
    these, of benchmarks too, as many as it takes; None: all.
    """

    dev_share: float | None = None
    max_items: int | None = None
    side: Side = "test"
    enough: Enough | None = None


@dataclass(frozen=True)
class ModelToScore:
    """A causal language model that is loaded, with its tokenizer."""

    name: str
    model: Any
    tokenizer: Any
    reading: Reading = field(default_factory=Reading)


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
    running: CodeRunning | None = None,
) -> Scores:
    """Scores of a causal language model on tasks, and its bits per byte of held-out text by source.

    A task is a `Benchmark`, all of whose items are scored (give the test side); a name of lm-eval (task,
    group, tag); a configuration of lm-eval; or a Path, a folder of lm-eval YAMLs. chosen: which items of
    lm-eval tasks are scored. running: of code that the model writes; None: none is run.
    A context longer than `max_length` tokens (default: the model's) loses its beginning. Every score has its
    standard error over items. The model's mode and the process' random states are left as they were.
    Raises ValueError for a task that is unknown, cannot be loaded, or is named twice, and for a tokenizer or
    length that does not fit the model.
    """
    one = ModelToScore(name, model, tokenizer, reading)
    return evaluate_together(
        [one], tasks, heldout=heldout, max_length=max_length, chosen=chosen, running=running
    )[name]


def evaluate_together(
    models: Sequence[ModelToScore],
    tasks: Sequence[Benchmark | str | dict[str, Any] | Path],
    *,
    heldout: Mapping[str, Sequence[str]] | None = None,
    max_length: int | None = None,
    chosen: ChosenItems = ChosenItems(),
    running: CodeRunning | None = None,
) -> dict[str, Scores]:
    """Model -> its scores, as `evaluate` gives them; with `chosen.enough` each may end when the others are so far."""
    if not tasks and not heldout:
        raise ValueError("nothing to evaluate on: tasks and heldout are empty; give at least one")
    parts: dict[str, list[Scores]] = {one.name: [] for one in models}
    with ExitStack() as opened:
        wrapped = {
            one.name: opened.enter_context(harness_model(one.model, one.tokenizer, one.reading, max_length))
            for one in models
        }
        prepared = {}
        for name in wrapped:
            seed_everything()  # the same draws for each
            prepared[name] = _prepared(tasks, chosen, running)
        if any(loaded.tasks for loaded, _ in prepared.values()):
            scored = (
                _asked_all(wrapped, prepared)
                if chosen.enough is None
                else _asked_enough(wrapped, prepared, chosen.enough)
            )
            for name, scores in scored.items():
                parts[name].append(scores)
        for name, one in wrapped.items():
            if heldout:
                parts[name].append(heldout_scores(one, dict(heldout), name))
    return {name: Scores.joined(of_model) for name, of_model in parts.items()}


Prepared = tuple[LoadedTasks, dict[str, list[int]]]


def _prepared(
    tasks: Sequence[Benchmark | str | dict[str, Any] | Path], chosen: ChosenItems, running: CodeRunning | None
) -> Prepared:
    """The tasks, and which of their items count; of a task that is not named, all."""
    loaded = _load(tasks, running)
    for task in loaded.tasks.values():
        if task.config.num_fewshot is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
    own = {task.name for task in tasks if isinstance(task, Benchmark)}
    return loaded, _indices(loaded, own, chosen)


def _load(
    tasks: Sequence[Benchmark | str | dict[str, Any] | Path], running: CodeRunning | None
) -> LoadedTasks:
    found: dict[str, Task] = {}
    groups: dict[str, Group] = {}

    def add(more: dict[str, Task]) -> None:
        repeated = sorted(found.keys() & more.keys())
        if repeated:
            raise ValueError(f"task {repeated[0]!r} is given twice; every task needs a name of its own")
        found.update(more)

    for task in tasks:
        if isinstance(task, Benchmark):
            add({task.name: benchmark_task(task, running)})
    specs = [task for task in tasks if isinstance(task, str | dict)]
    folders = [task for task in tasks if isinstance(task, Path)]
    for position, folder in enumerate(folders or ([None] if specs else [])):
        loaded = load_tasks(specs if position == 0 else [], folder, running)
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


def _asked_all(wrapped: Mapping[str, HarnessModel], prepared: Mapping[str, Prepared]) -> dict[str, Scores]:
    found = {}
    for name, (loaded, indices) in prepared.items():
        found[name] = harness_scores(name, loaded, _harness_results(wrapped[name], loaded, indices))
    return found


def _asked_enough(
    wrapped: Mapping[str, HarnessModel], prepared: Mapping[str, Prepared], enough: Enough
) -> dict[str, Scores]:
    """The harness scores the items that were asked as it scores all: it is given the answers."""
    items = {
        name: {
            task_name: ItemsInTurn(wrapped[name], task_name, task, indices.get(task_name), enough.order_seed)
            for task_name, task in loaded.tasks.items()
        }
        for name, (loaded, indices) in prepared.items()
    }
    stops = ask_until_enough(items, enough)
    found = {}
    for name, (loaded, _) in prepared.items():
        places: dict[str, list[int]] = {}
        answers: dict[int, list[Any]] = {}
        asked: dict[tuple[str, str, str], AskedItems] = {}
        for task_name, one in items[name].items():
            several = len({chosen for _, chosen in one.values}) > 1
            for (metric, chosen), values in asked_items(one, enough).items():
                asked[name, task_name, f"{metric}:{chosen}" if several else metric] = values
            places[task_name], given = one.left_to_the_harness()
            answers |= given
        sizes = {task_name: len(one) for task_name, one in items[name].items()}
        scores = harness_scores(name, loaded, _harness_results(answering(answers), loaded, places), sizes)
        own_stops = [stop.row() for stop in stops if stop.model == name]
        found[name] = replace(scores, asked=asked, stops=own_stops)
    return found


def _harness_results(model: Any, loaded: LoadedTasks, indices: dict[str, list[int]]) -> dict[str, Any]:
    task_dict: Any = {"tasks": loaded.tasks, "groups": loaded.groups, "group_map": {}}
    results: Any = run_harness(
        model,
        task_dict,
        samples=indices or None,
        bootstrap_iters=0,
        log_samples=True,
        confirm_run_unsafe_code=True,  # in the sandbox: what runs code otherwise was refused when it was loaded
    )
    return dict(results)
