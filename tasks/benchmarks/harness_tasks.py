"""Tasks of lm-evaluation-harness by name, folder or configuration, and their dev and test items.

A YAML may name functions of Python files beside it (`!function`), which the harness then runs:
use folders you trust.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from lm_eval.api.group import Group
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from tasks.benchmarks.by_content import lowest_by_content, split_by_content
from tasks.benchmarks.code_tasks import CodeRunning, harness_code_runs_in_sandbox, is_sandboxed
from tasks.benchmarks.quiet_harness import quiet_harness

EXPECTED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    yaml.YAMLError,
)
RUNS_CODE = (
    "lm-eval task {!r}: runs the code that a model writes, which is done only where asked for; allowed: tasks that run "
    "none, or to run code in a sandbox: --run-code, in a recipe evaluation.run_code"
)
RUNS_CODE_ITSELF = (
    "lm-eval task {!r}: runs the code that a model writes by a way of its own, outside of the sandbox; allowed: tasks "
    "that run it by the metric `code_eval`. `mixstitch preference --scores` reads what lm-eval itself scored elsewhere"
)


@dataclass(frozen=True)
class LmEvalItems:
    """The items of one harness task: texts with the right answer, and their indices in the task."""

    task: str
    dev_texts: tuple[str, ...]
    test_texts: tuple[str, ...]
    dev_indices: tuple[int, ...]
    test_indices: tuple[int, ...]


@dataclass(frozen=True)
class LoadedTasks:
    """Harness tasks and groups by name."""

    tasks: dict[str, Task]
    groups: dict[str, Group]


def lm_eval_items(
    names: Sequence[str] = (),
    task_folder: Path | None = None,
    dev_share: float = 0.3,
    max_items: int | None = None,
    running: CodeRunning | None = None,
) -> list[LmEvalItems]:
    """The items of each named harness task and of all the folder's tasks, split by content.

    `evaluate` with the same `dev_share` and `max_items` scores exactly the test items. An item's text is its
    prompt (without few-shot examples) followed by the right answer.
    Raises ValueError for an unknown name, data that cannot be loaded, or a task with fewer than two items.
    """
    loaded = load_tasks(names, task_folder, running)
    return [split_task(name, task, dev_share, max_items) for name, task in loaded.tasks.items()]


def split_task(name: str, task: Task, dev_share: float, max_items: int | None) -> LmEvalItems:
    """A task's items, capped and split by content as benchmark files are."""
    texts, kept = _capped(name, task, max_items)
    dev, test = split_by_content([texts[i] for i in kept], dev_share, name)
    return LmEvalItems(
        name,
        tuple(texts[kept[i]] for i in dev),
        tuple(texts[kept[i]] for i in test),
        tuple(kept[i] for i in dev),
        tuple(kept[i] for i in test),
    )


def capped_items(name: str, task: Task, max_items: int) -> list[int]:
    """Places of at most so many of a task's items, chosen by content as those of benchmark files are."""
    return _capped(name, task, max_items)[1]


def _capped(name: str, task: Task, max_items: int | None) -> tuple[list[str], list[int]]:
    with loading(name):
        texts = [_doc_text(task, doc) for doc in task.eval_docs]
    return texts, lowest_by_content(texts, max_items)


def load_tasks(
    specs: Sequence[str | dict[str, Any]], task_folder: Path | None, running: CodeRunning | None = None
) -> LoadedTasks:
    """Harness tasks by name (task, group or tag) or configuration, and all tasks of the folder.

    running: of code; None: tasks that run it are refused. Raises ValueError naming the task: one that is unknown, or
    whose data or configuration cannot be loaded, or that runs code where that is not asked for, or by itself.
    """
    with quiet_harness(), harness_code_runs_in_sandbox(running):
        folder = str(task_folder) if task_folder is not None else None
        own = _folder_manager(folder) if folder is not None else None
        found = own.all_subtasks if own is not None else []
        wanted = [*specs, *(name for name in found if name not in specs)]
        tasks: dict[str, Task] = {}
        groups: dict[str, Group] = {}
        for spec in wanted:
            name = spec if isinstance(spec, str) else str(spec.get("task") or spec.get("group") or spec)
            manager = own
            if isinstance(spec, str) and (own is None or spec not in own.all_tasks):
                manager = _manager(folder, True)
                _check_known(spec, manager)
            if manager is not None and running is None:
                _check_runs_no_code(name, manager)
            with loading(name):
                loaded = (manager or _manager(None, False)).load([_with_data_beside(spec, manager)])
            for task_name, task in loaded["tasks"].items():
                if getattr(task, "UNSAFE_CODE", False) and not (running and is_sandboxed(task, running)):
                    raise ValueError((RUNS_CODE_ITSELF if running else RUNS_CODE).format(task_name))
                tasks.setdefault(task_name, task)
            groups.update(loaded.get("groups", {}))
        return LoadedTasks(tasks, groups)


def check_names(names: Sequence[str], task_folder: Path | None, runs_code: bool = False) -> None:
    """ValueError for a name that neither lm-eval nor the folder has, similar ones with it; no data is loaded.

    runs_code: what a model writes; without, a task that does is refused.
    """
    with quiet_harness():
        own = _folder_manager(str(task_folder)) if task_folder is not None else None
        for name in own.all_subtasks if own is not None and not runs_code else ():
            _check_runs_no_code(name, own)
        for name in names:
            if own is None or name not in own.all_tasks:
                manager = _manager(None if task_folder is None else str(task_folder), True)
                _check_known(name, manager)
                if not runs_code:
                    _check_runs_no_code(name, manager)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn what goes wrong while a task's data is read into one ValueError that names the task."""
    try:
        yield
    except EXPECTED as error:
        first_line = (str(error).splitlines() or [""])[0][:300]
        raise ValueError(
            f"lm-eval task {name!r}: could not be loaded: {type(error).__name__}: {first_line}; "
            "it needs a valid configuration and its data: local files, a filled cache, or the network"
        ) from error


def _check_known(name: str, manager: TaskManager) -> None:
    if name not in manager.all_tasks:
        similar = difflib.get_close_matches(name, manager.all_tasks, n=3)
        raise ValueError(
            f"lm-eval task {name!r}: unknown; allowed: one of the {len(manager.all_tasks)} names that "
            f"`lm_eval ls tasks` shows or of evaluation.task_folder{', such as ' if similar else ''}"
            f"{', '.join(similar)}"
        )


def _check_runs_no_code(name: str, manager: TaskManager) -> None:
    """From the YAML alone: loading such a task may already fetch what runs its code."""
    entry = manager.task_index.get(name)
    if entry is None or entry.yaml_path is None:
        return
    try:
        config = load_yaml(entry.yaml_path, resolve_func=False)
    except EXPECTED:
        return  # said in loading it
    if config.get("task") == name and config.get("unsafe_code"):
        raise ValueError(RUNS_CODE.format(name))


@lru_cache(maxsize=4)
def _manager(folder: str | None, defaults: bool) -> TaskManager:
    """Indexing the harness' own tasks takes seconds: once a process, and only where one is asked for."""
    return TaskManager(include_path=folder, include_defaults=defaults)


def _folder_manager(folder: str) -> TaskManager:
    if not Path(folder).is_dir():
        raise ValueError(f"evaluation.task_folder={folder}: no such folder; name one with lm-eval task YAMLs")
    for path in sorted(Path(folder).rglob("*.yaml")):
        try:
            load_yaml(path, resolve_func=False)  # the harness' index leaves out what it cannot read
        except EXPECTED as error:
            raise ValueError(f"{path}: not a readable lm-eval task: {str(error).splitlines()[0]}") from error
    manager = TaskManager(include_path=folder, include_defaults=False)
    if not manager.all_subtasks:
        raise ValueError(
            f"evaluation.task_folder={folder}: holds no lm-eval task: no .yaml with a `task` key"
        )
    return manager


def _with_data_beside(spec: str | dict[str, Any], manager: TaskManager | None) -> str | dict[str, Any]:
    """The configuration of a folder's task with relative data files resolved beside its YAML, if there.

    The harness resolves them against the working directory, which differs between a shell and a worker.
    """
    entry = manager.task_index.get(spec) if manager is not None and isinstance(spec, str) else None
    if (
        entry is None
        or entry.yaml_path is None
        or "data_files" not in (entry.cfg or {}).get("dataset_kwargs", {})
    ):
        return spec
    here = Path(entry.yaml_path).parent
    config = load_yaml(entry.yaml_path, resolve_func=True)
    kwargs = config["dataset_kwargs"]
    kwargs["data_files"] = _resolved(kwargs["data_files"], here)
    return config


def _resolved(files: Any, here: Path) -> Any:
    if isinstance(files, dict):
        return {split: _resolved(value, here) for split, value in files.items()}
    if isinstance(files, list):
        return [_resolved(value, here) for value in files]
    return str(here / files) if (here / str(files)).exists() else files


def _doc_text(task: Task, doc: Any) -> str:
    """A prompt without few-shot examples, and the right answer."""
    prompt: Any = task.doc_to_text(doc)
    target: Any = task.doc_to_target(doc)
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return str(target)
    config: Any = getattr(task, "config", None)
    delimiter = getattr(config, "target_delimiter", " ")
    to_choice: Callable[..., Any] | None = getattr(task, "doc_to_choice", None)
    if task.OUTPUT_TYPE == "multiple_choice" and to_choice is not None:
        choices = to_choice(doc)
        if isinstance(prompt, int):
            return f"{choices[prompt]}{delimiter}{target}"
        target = target[0] if isinstance(target, list) else target
        if isinstance(target, int):
            target = choices[target] if 0 <= target < len(choices) else ""
    target = target[0] if isinstance(target, list) and target else target
    return f"{prompt}{delimiter}{target}"
