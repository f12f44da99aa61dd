"""All benchmarks of an experiment: those made from held-out documents and those of a folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.benchmarks.items import Benchmark
from tasks.benchmarks.made_tasks import make_task

if TYPE_CHECKING:
    from tasks.benchmarks.settings import BenchmarkSettings


def check_made_tasks(evaluation: BenchmarkSettings, sources: Collection[str]) -> None:
    """Raise ValueError for a made task whose source does not exist, before anything is read."""
    for made in evaluation.made:
        if made.source not in sources:
            raise ValueError(
                f"evaluation.made: task {made.name!r} is made from source {made.source!r}, which is not there; "
                f"allowed: {', '.join(sources)}"
            )


def collect_benchmarks(
    heldout: Mapping[str, list[str]],
    evaluation: BenchmarkSettings,
    random_seed: int,
    warn: Callable[[str], None],
) -> list[Benchmark]:
    """Made tasks first, then the folder's, with a warning for each file that is skipped.

    A source that gives too few items for a task `made_from_each` is warned of, too.

    Every made task needs its source in `heldout`, see `check_made_tasks`.
    """
    benchmarks = [
        make_task(made.kind, made.name, made.source, heldout[made.source], made.num_items, random_seed)
        for made in evaluation.made
    ]
    if evaluation.made_from_each is not None:
        for source, documents in heldout.items():
            try:
                task = make_task(
                    "cloze", f"{source}-cloze", source, documents, evaluation.made_from_each, random_seed
                )
            except ValueError as error:
                warn(f"left out: {error}")
            else:
                benchmarks.append(task)
    if evaluation.folder is not None:
        found, warnings = read_benchmark_folder(evaluation.folder, evaluation.max_items)
        for warning in warnings:
            warn(warning)
        benchmarks += found
    return benchmarks


def harness_texts(settings: BenchmarkSettings) -> dict[str, dict[str, list[str]]]:
    """Dev and test texts of the tasks that lm-evaluation-harness brings along, by task."""
    if not settings.lm_eval_tasks and settings.task_folder is None:
        return {}
    from tasks.benchmarks.code_tasks import CodeRunning
    from tasks.benchmarks.harness_tasks import lm_eval_items

    found = lm_eval_items(
        settings.lm_eval_tasks,
        settings.task_folder,
        settings.dev_share,
        settings.max_items,
        CodeRunning() if settings.run_code else None,  # nothing runs yet, but such tasks may be there
    )
    return {items.task: {"dev": list(items.dev_texts), "test": list(items.test_texts)} for items in found}
