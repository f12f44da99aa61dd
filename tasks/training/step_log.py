"""The step log: what a run reports about once a second, averaged between reports and kept on disk."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from storage.writing import write_whole

LOG_SECONDS = 1.0
log = logging.getLogger("mixstitch.training")
StepReport = Callable[[dict[str, Any]], None]


class StepLog:
    """Averages the loss between reports, and keeps every report on disk."""

    def __init__(
        self,
        path: Path,
        tokens_per_step: int,
        report: StepReport,
        is_main: bool,
        mfu_per_speed: float = math.nan,
    ) -> None:
        """mfu_per_speed: share of the devices' FLOP/s that a token a second takes; NaN: not known, and not told."""
        self._path, self._report, self._mfu = path, report, mfu_per_speed
        self._tokens_per_step, self._is_main = tokens_per_step, is_main
        self._flushed = time.monotonic()

    def go_on(self, first: int, num_steps: int, attempt: int) -> None:
        """Begin, or begin again after a rewind, after `first` of so many steps."""
        self._first, self._num_steps, self._attempt = first, num_steps, attempt
        self._rows: list[tuple[int, torch.Tensor, torch.Tensor | None, float]] = []
        self._started = self._flushed = time.monotonic()
        if self._is_main:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            keep_rows_before(self._path, first, attempt)

    @property
    def due(self) -> bool:
        return time.monotonic() - self._flushed >= LOG_SECONDS

    def add(self, step: int, loss: torch.Tensor, norm: torch.Tensor | None, rate: float) -> None:
        self._rows.append((step, loss, norm, rate))

    @property
    def is_finite(self) -> bool:
        """Whether the mean loss since the last report is a number."""
        return math.isfinite(self._mean())

    def _mean(self) -> float:
        return float(torch.stack([row[1] for row in self._rows]).mean())

    def flush(self, looks: Mapping[str, Any] = {}) -> float:
        """Report the mean loss since the last report, and return it. looks: what else the row tells."""
        now = time.monotonic()
        step, _, norm, rate = self._rows[-1]
        loss = self._mean()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"loss is {loss} at step {step + 1}: training has diverged; a lower learning rate may help"
            )
        speed = len(self._rows) * self._tokens_per_step / (now - self._flushed)
        average = (step + 1 - self._first) * self._tokens_per_step / (now - self._started)
        row = {
            "step": step + 1,
            "steps": self._num_steps,
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": float(norm) if norm is not None else math.nan,
            "tokens_per_second": speed,
            **({"mfu": speed * self._mfu} if math.isfinite(self._mfu) else {}),
            "seconds_left": (self._num_steps - step - 1) * self._tokens_per_step / average,
            **({"attempt": self._attempt} if self._attempt else {}),
            **looks,
        }
        if self._is_main:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            self._report(row)
        self._rows, self._flushed = [], now
        return loss


def keep_rows_before(path: Path, first: int, attempt: int = 0) -> None:
    """Drop what was logged after the checkpoint that is gone on from, as those steps are done again; and lines that a
    kill or a full disk cut off, which are said.

    attempt: rewinds until now; what was logged before the last of them stays.
    """
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        places = [_place_of(line) for line in lines]
        if None in places:
            log.warning("%s: %d lines are damaged: left out of the log", path, places.count(None))
        rows = [
            line
            for line, place in zip(lines, places, strict=True)
            if place is not None and (place[0] < attempt or place <= (attempt, first))
        ]
        write_whole(path, "".join(f"{row}\n" for row in rows))


def _place_of(line: str) -> tuple[int, int] | None:
    """The attempt and step of a row of the log; None for what is none."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict) or not isinstance(row.get("step"), int):
        return None
    return row.get("attempt", 0), row["step"]
