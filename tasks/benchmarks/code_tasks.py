"""Tasks whose answers are programs, which are run in the sandbox: ours, and those of lm-evaluation-harness.

The harness' own run what a model writes in this process, by the metric `code_eval` of the library `evaluate`. Where
running code is asked for, that metric is the sandbox's; tasks that run code in any other way stay refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask, Task

from tasks.benchmarks.kinds.item_kind import Item, ItemKind
from tasks.benchmarks.pass_at_k import NAME, pass_at_k
from tasks.sandbox.sandbox import Limits, run_programs

HARNESS_METRIC = "code_eval"


@dataclass(frozen=True)
class CodeRunning:
    """That programs are run, and how many.

    programs: written for each item; one: the likeliest, more: drawn. pass_at: k of pass@k. temperature: of what is
    drawn; Chen et al. 2021 find .2 best for pass@1 and .8 for pass@100. most_tokens: of a program. limits: of running
    it. Tasks of lm-eval say for themselves how many and how. Raises ValueError for k beyond the programs.
    """

    programs: int = 1
    pass_at: tuple[int, ...] = (1,)
    temperature: float = 0.8
    most_tokens: int = 256
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        wrong = [k for k in self.pass_at if not 1 <= k <= self.programs]
        if wrong or not self.pass_at:
            raise ValueError(
                f"pass@{wrong[0] if wrong else 'k'}: {self.programs} written for each item (programs); allowed: k of 1 "
                f"to {self.programs}, one or more"
            )


class CodeTask(ConfigurableTask):
    """Asks for the likelihood of the reference, and for programs; runs these together once all are written."""

    kind: ItemKind
    running: CodeRunning

    def construct_requests(self, doc: Item, ctx: Any, **kwargs: Any) -> list[Instance]:
        asked: Any = super().construct_requests(doc, ctx, **kwargs)
        assert self.kind.code is not None
        how = {
            "until": self.kind.code.stops(doc),
            "max_gen_toks": self.running.most_tokens,
            "do_sample": False,
        }
        drawn = {**how, "do_sample": True, "temperature": self.running.temperature}
        for number in range(self.running.programs):
            given = how if self.running.programs == 1 else {**drawn, "draw": number}
            metadata = kwargs["metadata"]
            asked.append(Instance("generate_until", doc, (ctx, given), len(asked), metadata=metadata))
        return asked

    def apply_filters(self) -> None:
        super().apply_filters()
        programs = [
            self._program(one.doc, text)
            for one in self.instances
            if one.request_type == "generate_until"
            for text in one.resps
        ]
        self._passed = {
            program: ran.to_the_end
            for program, ran in zip(programs, run_programs(programs, self.running.limits), strict=True)
        }

    def process_results(self, doc: Item, results: Any) -> dict[str, Any]:
        reference, *written = results
        passed = sum(self._passed[self._program(doc, text)] for text in written)
        found = {f"{NAME}{k}": pass_at_k(len(written), passed, k) for k in self.running.pass_at}
        return {**found, **self.kind.score(doc, [reference])}

    def higher_is_better(self) -> dict[str, bool]:
        return {**super().higher_is_better(), **{f"{NAME}{k}": True for k in self.running.pass_at}}

    def _program(self, doc: Item, text: str) -> str:
        assert self.kind.code is not None
        return self.kind.code.program(doc, text)


class SandboxedCodeEval:
    """What `evaluate.load("code_eval")` gives a task of the harness, with the sandbox behind it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def compute(
        self,
        references: Sequence[str],
        predictions: Sequence[Sequence[str]],
        k: Sequence[int] = (1, 10, 100),
        **_: Any,
    ) -> tuple[dict[str, float], dict[int, list[tuple[int, dict[str, Any]]]]]:
        """(pass@k by name, of each item every program's result), as that metric gives them; k beyond the programs is
        left out."""
        counts = [len(programs) for programs in predictions]
        texts = [
            f"{program}\n{test}"
            for test, programs in zip(references, predictions, strict=True)
            for program in programs
        ]
        ran = iter(run_programs(texts, self.limits))
        results = {
            item: [
                (number, {"task_id": item, "passed": one.to_the_end, "result": one.said or "passed"})
                for number, one in zip(range(count), ran, strict=False)
            ]
            for item, count in enumerate(counts)
        }
        passed = [sum(bool(told["passed"]) for _, told in results[item]) for item in range(len(counts))]
        scores = {
            f"{NAME}{many}": sum(
                pass_at_k(count, right, many) for count, right in zip(counts, passed, strict=True)
            )
            / len(counts)
            for many in k
            if all(count >= many for count in counts)
        }
        return scores, results


@contextmanager
def harness_code_runs_in_sandbox(running: CodeRunning | None) -> Iterator[None]:
    """While tasks are loaded: `evaluate.load` gives them the sandbox for the metric that runs code."""
    if running is None:
        yield
        return
    loaded: Callable[..., Any] = evaluate.load

    def load(path: str, *args: Any, **kwargs: Any) -> Any:
        return SandboxedCodeEval(running.limits) if path == HARNESS_METRIC else loaded(path, *args, **kwargs)

    with patch.object(evaluate, "load", load):
        yield


def is_sandboxed(task: Task, running: CodeRunning) -> bool:
    """Whether a harness task judges answers in modules that have the sandbox, which then gets the limits."""
    metrics: dict[str, Any] = getattr(task, "_metric_fn_list", {})
    judges = [*metrics.values(), getattr(getattr(task, "config", None), "process_results", None)]
    functions = [getattr(judge, "__self__", judge) for judge in judges]  # the harness keeps their `__call__`
    found = [
        value
        for function in functions
        for value in (function, *getattr(function, "__globals__", {}).values())
        if isinstance(value, SandboxedCodeEval)
    ]
    for one in found:
        one.limits = running.limits
    return bool(found)
