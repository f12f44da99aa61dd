"""What the Prefect tasks of all stages share: no second cache, readable names, progress, tables.

The artifact store alone decides what is done again, so Prefect's own cache and results are off. A planned run
(`uses_prefect` is false) does no work, and its tasks are called as plain functions, without Prefect.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from prefect import Task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging import get_run_logger

from storage.stages import PROGRESS_LOGGER
from storage.unrecorded import AnyRun

UPDATE_SECONDS = 3.0
SERIES = (  # of a row of the training loop, for MLflow; the last ones where Adam's state was looked at
    "step", "loss", "learning_rate", "gradient_norm", "tokens_per_second", "mfu",
    "std_r", "tail_r", "worst_tail_r", "bimodality_r", "correlation", "floor_share", "gradient_scale", "update_norm",
)  # fmt: skip


class _Done:
    """The future of a task that was called as a plain function."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        return self._value


class StageTask(Task):
    """A Prefect task whose first argument is the run."""

    def __call__(self, run: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        call = super().__call__ if run.uses_prefect else self.fn
        result = call(run, *args, **kwargs)
        run.go_on()
        return result

    def submit(self, run: Any, *args: Any, wait_for: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        if not run.uses_prefect:
            return _Done(self.fn(run, *args, **kwargs))
        return super().submit(run, *args, wait_for=wait_for, **kwargs)


def stage_task(name: str, task_run_name: str) -> Callable[[Callable[..., Any]], StageTask]:
    """Decorator: a function (run, ...) -> result as the Prefect task of a stage."""

    def decorate(function: Callable[..., Any]) -> StageTask:
        return StageTask(
            function, name=name, task_run_name=task_run_name, cache_policy=NO_CACHE, persist_result=False
        )

    return decorate


def show_table(rows: Callable[[], list[dict]], key: str, description: str) -> None:
    """Publish rows as a table artifact of the Prefect run; outside of one there is nobody to show it to."""
    if in_prefect_run():
        create_table_artifact(rows(), key=artifact_key(key), description=description)


def show_text(markdown: Callable[[], str], key: str, description: str) -> None:
    """Publish a text as a markdown artifact of the Prefect run."""
    if in_prefect_run():
        create_markdown_artifact(markdown(), key=artifact_key(key), description=description)


def in_prefect_run() -> bool:
    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


class Progress:
    """Tells how far a stage is: lines in the run's log, a progress bar in Prefect, loss curves in MLflow."""

    def __init__(self, run: AnyRun, label: str) -> None:
        self._run, self._label = run, label
        self._log = _logger()
        self._told = 0.0
        self._artifact: Any = None
        self._rows: list[dict] = []

    def say(self, text: str) -> None:
        self._log.info("%s: %s", self._label, text)

    def warn(self, text: str) -> None:
        self._log.warning("%s: %s", self._label, text)

    def step(self, row: dict[str, Any]) -> None:
        """A row of the training loop: told at most every few seconds, and at the last step; what happened, at once."""
        for sentence in row.get("said", ()):
            self.warn(sentence)
        self._rows.append({key: row[key] for key in SERIES if key in row and math.isfinite(row[key])})
        is_last = row["step"] == row["steps"]
        if not is_last and time.monotonic() - self._told < UPDATE_SECONDS:
            return
        self._told = time.monotonic()
        left = round(row["seconds_left"])
        mfu = f", MFU {row['mfu']:.1%}" if "mfu" in row else ""
        self.say(
            f"step {row['step']:,.0f}/{row['steps']:,.0f}, loss {row['loss']:.3f}, "
            f"{row['tokens_per_second']:,.0f} tokens/s{mfu}, {left // 60}:{left % 60:02d} left"
        )
        self.fraction(row["step"] / row["steps"])
        self._run.log_series(self._label, self._rows)
        self._rows = []

    def fraction(self, done: float) -> None:
        """Move the stage's progress to `done`, 0 to 1, on the terminal and in Prefect."""
        logging.getLogger(PROGRESS_LOGGER).debug(
            "%s: %.0f%%", self._label, 100 * done, extra={"at": (self._label, done)}
        )
        if not in_prefect_run():
            return
        if self._artifact is None:
            self._artifact = create_progress_artifact(
                progress=100 * done, key=artifact_key(self._label), description=self._label
            )
        else:
            update_progress_artifact(self._artifact, progress=100 * done)


def artifact_key(text: str) -> str:
    """A key that Prefect allows: lower-case letters, digits and dashes."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in kept.split("-") if part)


def _logger() -> logging.Logger | logging.LoggerAdapter:
    return get_run_logger() if in_prefect_run() else logging.getLogger("mixstitch")
