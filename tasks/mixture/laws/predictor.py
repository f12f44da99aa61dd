"""What every law hands back: a function from mixtures to losses, and the map over losses on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from tasks.mixture.solver.capped_simplex import Array

T = TypeVar("T")
Column = Callable[[Array], Array]


@dataclass(frozen=True)
class Predictor:
    """predict: mixtures (n, d) to losses (n, m). smooth: whether it has a gradient. about: JSON-ready facts."""

    predict: Callable[[Array], Array]
    smooth: bool
    about: dict[str, Any] = field(default_factory=dict)


def stacked(columns: Sequence[Column]) -> Callable[[Array], Array]:
    """One function for all losses from one a loss, (n, d) -> (n,) each."""
    return lambda mixtures: np.column_stack([column(mixtures) for column in columns])


def for_each_loss(fit_one: Callable[[int], T], num_losses: int) -> list[T]:
    """fit_one(k) for every loss k, in as many threads as there are cores; the order is that of the losses.

    The numerical libraries run in one thread each meanwhile: with more, sums round differently from machine
    to machine, and for tables of this size it is slower.
    """
    from threadpoolctl import threadpool_limits

    workers = max(min(_cores(), num_losses), 1)
    with threadpool_limits(limits=1):
        if workers == 1:
            return [fit_one(k) for k in range(num_losses)]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(fit_one, range(num_losses)))


def _cores() -> int:
    """Cores that this process may use, where the system tells; else those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def robust_scale(values: Array) -> float:
    """The spread of values (n,): the interquartile range over that of a unit normal, 1.349.

    The standard deviation where that is 0, and 1 for a constant.
    """
    if len(values) == 0:
        return 1.0
    upper, lower = np.percentile(values, [75, 25])
    tiny = 1e-12 * max(float(np.abs(values).max()), 1e-300)
    scale = float(upper - lower) / 1.349
    if scale <= tiny:
        scale = float(values.std())
    return scale if scale > tiny else 1.0
