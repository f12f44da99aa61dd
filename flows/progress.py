"""Progress of a run: which stage of how many, how far it is, and the time left for the whole run.

On a terminal a line a stage and a bar below; elsewhere the lines; in a notebook one line that is written over.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from storage.planned import PlannedRun
from storage.stages import PROGRESS_LOGGER

LINE_SECONDS = 20.0  # between lines about a stage at work, where there is no terminal to draw a bar on
STAGE_SECONDS = 0.3  # that a stage takes at least
NOTEBOOK_LINE = 100  # characters
RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")
TOLD_FROM = 0.05  # of the work done, before that the time left is anybody's guess


@contextmanager
def shown_progress() -> Iterator[None]:
    """Stages are told on standard error as they end."""
    logger = logging.getLogger(PROGRESS_LOGGER)
    level, handler = logger.level, _Shown(Console(stderr=True))
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        with _said_once():
            yield
    finally:
        handler.end()
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def _said_once() -> Iterator[None]:
    """Prefect leaves out what is said at the end: a ValueError, and that a run failed by it."""
    with ExitStack() as stack:
        for name in () if os.environ.get("MIXSTITCH_TRACEBACK") else RUN_LOGGERS:
            logging.getLogger(name).addFilter(_is_news)
            stack.callback(logging.getLogger(name).removeFilter, _is_news)
        yield


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ValueError) and "in state Failed" not in record.getMessage()


class Course:
    """How far a run is: work done of the work planned, in seconds as the plan estimates them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.total = 0
        self.done: list[str] = []
        self._parts: dict[str, float] = {}
        self._began = time.monotonic()

    def plan(self, planned: PlannedRun, flops_per_second: float) -> None:
        rows = zip(planned.stages, planned.rows(flops_per_second), strict=True)
        self.seconds = {one.artifact.label: STAGE_SECONDS + 60 * (row["minutes"] or 0) for one, row in rows}
        self.total = len(self.seconds)

    def at(self, label: str, part: float) -> None:
        self._parts[label] = part

    def end(self, label: str) -> None:
        self.done.append(label)
        self._parts[label] = 1.0
        self.total = max(self.total, len(self.done))

    @property
    def part(self) -> float:
        """Of the work planned."""
        whole = sum(self.seconds.values())
        return (
            sum(self.seconds.get(label, 0.0) * part for label, part in self._parts.items()) / whole
            if whole
            else 0.0
        )

    @property
    def left(self) -> str:
        """About how long it still takes, by how long it took so far."""
        if not TOLD_FROM <= self.part < 1:
            return ""
        seconds = (time.monotonic() - self._began) * (1 - self.part) / self.part
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"


class _Shown(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console, self._course, self._told = console, Course(), time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"),
            console=console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=1.0, left="")

    def emit(self, record: logging.LogRecord) -> None:
        if (planned := getattr(record, "planned", None)) is not None:
            self._course.plan(*planned)
            if self._console.is_terminal:
                self._bar.start()
        elif (entry := getattr(record, "ended", None)) is not None:
            self._course.end(entry["name"])
            took = "found" if entry["cache_hit"] else f"{entry['seconds']:.1f} s"
            count = f"{len(self._course.done):{len(str(self._course.total))}}/{self._course.total}"
            self._say(f"{count} {entry['name']} ({took}): {entry['headline']}")
        elif (at := getattr(record, "at", None)) is not None:
            self._course.at(*at)
            if not self._console.is_terminal and time.monotonic() - self._told >= LINE_SECONDS:
                self._say(", ".join(filter(None, (f"{at[0]}: {at[1]:.0%}", self._course.left))))
            self._draw(f"{len(self._course.done) + 1}/{self._course.total} {at[0]} {at[1]:.0%}")

    def end(self) -> None:
        if self._bar.live.is_started:
            self._bar.stop()
        if self._console.is_jupyter:
            print(file=sys.stderr)

    def _say(self, text: str) -> None:
        self._told = time.monotonic()
        if self._console.is_jupyter:
            print(f"\r{text[:NOTEBOOK_LINE]:{NOTEBOOK_LINE}}", end="", file=sys.stderr, flush=True)
            return
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
        self._draw(None)

    def _draw(self, description: str | None) -> None:
        self._bar.update(
            self._task, completed=self._course.part, left=self._course.left, description=description
        )
