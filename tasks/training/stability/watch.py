"""What the loop tells of every step, read in one transfer now and then: looks at Adam's state, alarms and spikes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tasks.training.stability.alarm import Watched, after_look, after_loss
from tasks.training.stability.looks import STATISTICS
from tasks.training.stability.monitor import Adam, Monitor
from tasks.training.stability.settings import StabilitySettings
from tasks.training.step_log import keep_rows_before

DIGITS = 5  # significant ones that are kept of a statistic


@dataclass(frozen=True)
class _Step:
    """A step not read yet; `step` counts from 1, sums are those of `Monitor.measure`."""

    step: int
    loss: Tensor
    norm: Tensor | None
    rate: float
    sums: Tensor | None


class Watch:
    """Steps as they come; `read` brings them to the host, and what is known of the run, `watched`, up to them."""

    def __init__(
        self, weights: Mapping[str, nn.Parameter], settings: StabilitySettings, adam: Adam, path: Path | None
    ) -> None:
        """path: where looks are written, a line each; None: by another process."""
        self._settings, self._adam, self._path = settings, adam, path
        self._monitor = Monitor(weights, settings.monitor.coordinates) if settings.monitor.every else None
        self._pending: list[_Step] = []
        self.latest: dict[str, float] = {}

    def go_on(self, watched: Watched, step: int, attempt: int, cleared_at: int, epsilon: float) -> None:
        """Begin, or begin again, after `step` steps, with Adam's state cleared at `cleared_at`."""
        self.watched, self._attempt, self._cleared_at = watched, attempt, cleared_at
        self._adam = replace(self._adam, epsilon=epsilon)
        self._pending, self.latest = [], {}
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            keep_rows_before(self._path, step, attempt)

    def looks_after(self, step: int) -> bool:
        return self._monitor is not None and step % self._settings.monitor.every == 0

    def add(
        self, step: int, loss: Tensor, norm: Tensor | None, rate: float, optimizer: torch.optim.Optimizer
    ) -> None:
        """Note a step that is done; nothing waits for the device."""
        sums = None
        if self._monitor is not None and self.looks_after(step):
            sums = self._monitor.measure(optimizer, self._adam, step - self._cleared_at)
        self._pending.append(_Step(step, loss, norm, rate, sums))

    def read(self) -> Watched:
        """What is known after the last step that was added."""
        if not self._pending:
            return self.watched
        losses = torch.stack([one.loss for one in self._pending]).tolist()
        lines = []
        for one, loss in zip(self._pending, losses, strict=True):
            self.watched = after_loss(self.watched, one.step, loss, self._settings.recovery)
            if one.sums is not None and self._monitor is not None:
                updates = one.step - self._cleared_at
                looks = self._monitor.read(one.sums.tolist(), self._adam, updates, one.rate)
                self.watched = after_look(self.watched, one.step, looks, self._settings.alarm)
                lines.append(self._line(one, loss, looks))
                worst = max(told["tail_r"] for layer, told in looks.items() if layer != "all")
                self.latest = {**looks["all"], "worst_tail_r": worst}
        self._pending = []
        if self._path is not None and lines:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.writelines(f"{json.dumps(line)}\n" for line in lines)
        return self.watched

    def _line(self, one: _Step, loss: float, looks: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        return {
            "step": one.step,
            "attempt": self._attempt,
            "loss": loss,
            "gradient_norm": math.nan if one.norm is None else float(one.norm),
            "learning_rate": one.rate,
            "layers": list(looks),
            **{name: [_rounded(told[name]) for told in looks.values()] for name in STATISTICS},
        }


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
