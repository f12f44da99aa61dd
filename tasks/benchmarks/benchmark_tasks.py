"""Our benchmarks as tasks of the harness: their items in its terms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tasks.benchmarks.items import Benchmark
from tasks.benchmarks.kinds import KINDS_BY_NAME
from tasks.benchmarks.kinds.item_kind import ItemKind

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask, Task

    from tasks.benchmarks.code_tasks import CodeRunning


def benchmark_task(benchmark: Benchmark, running: CodeRunning | None = None) -> ConfigurableTask:
    """A harness task with the benchmark's items as its test split. Raises ValueError for one without items.

    running: of code, whose items are then answered by programs; None: nothing that a model writes is run.

    Its metrics are those of the items' kind, and bits_per_byte of the right choice, of the continuation after the
    right context, of the first answer: it moves in models too small for accuracy to leave chance.
    """
    from datasets import Dataset
    from lm_eval.api.metrics import bits_per_byte, mean
    from lm_eval.api.task import ConfigurableTask

    from tasks.benchmarks.code_tasks import CodeTask

    if not benchmark.items:
        raise ValueError(f"benchmark {benchmark.name!r} has no items; allowed: at least one")
    kind = KINDS_BY_NAME[benchmark.kind]
    rows = Dataset.from_list([{field: item[field] for field in kind.fields} for item in benchmark.items])
    runs = kind.code is not None and running is not None
    task = (CodeTask if runs else ConfigurableTask)(
        config={
            "task": benchmark.name,
            "custom_dataset": lambda **_: {"test": rows},
            "test_split": "test",
            "output_type": "multiple_choice",
            "target_delimiter": "",
            "num_fewshot": 0,
            **({} if runs else {"process_results": kind.score}),
            "metric_list": [
                {
                    "metric": name,
                    "aggregation": bits_per_byte if name == "bits_per_byte" else mean,
                    "higher_is_better": name != "bits_per_byte",
                }
                for name in kind.metrics
            ],
            "metadata": {"item_kind": kind.name},
            **kind.harness,
        }
    )
    if isinstance(task, CodeTask) and running is not None:
        task.kind, task.running = kind, running
    return task


def kind_of(task: Task) -> ItemKind | None:
    """The kind of the items of a task that `benchmark_task` made; None for any other task."""
    metadata = task.config.metadata if task.config.custom_dataset is not None else None
    return KINDS_BY_NAME.get((metadata or {}).get("item_kind", ""))


def bits_of(value: tuple[float, int]) -> float:
    """Bits of a (log-likelihood in nats, bytes) pair."""
    return -value[0] / math.log(2)
