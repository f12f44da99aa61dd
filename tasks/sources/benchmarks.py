"""All benchmarks of an experiment: those made from held-out documents and those of a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tasks.sources.benchmark_files import read_benchmark_folder
from tasks.sources.items import Benchmark
from tasks.sources.made_tasks import make_task

if TYPE_CHECKING:
    from tasks.evaluation.settings import EvaluationSettings


def collect_benchmarks(
    heldout: Mapping[str, list[str]], evaluation: EvaluationSettings, seed: int, warn: Callable[[str], None]
) -> list[Benchmark]:
    """Made tasks first, then the folder's, with a warning for each file that is skipped.

    Raises ValueError for a made task whose source does not exist.
    """
    benchmarks = []
    for made in evaluation.made:
        if made.source not in heldout:
            raise ValueError(
                f"evaluation.made: task {made.name!r} is made from source {made.source!r}, which is not there; "
                f"allowed: {', '.join(heldout)}"
            )
        benchmarks.append(
            make_task(made.kind, made.name, made.source, heldout[made.source], made.num_items, seed)
        )
    if evaluation.folder is not None:
        found, warnings = read_benchmark_folder(evaluation.folder, evaluation.max_items)
        for warning in warnings:
            warn(warning)
        benchmarks += found
    return benchmarks
