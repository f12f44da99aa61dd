"""What a law says of itself: from the losses of some trained mixtures to the losses of any mixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.method import Method

if TYPE_CHECKING:
    from tasks.mixture.laws.predictor import Predictor

FEWEST_RUNS = 4


@dataclass(frozen=True)
class Law(Method):
    """A law of mixtures.

    fit: (mixtures (n, d), losses (n, m)) -> predictor; for one that `needs_utility`: (mixtures, losses, utility
    (d, T), the task of each loss or nothing). fewest_runs: that it can be fitted to.
    """

    fit: Callable[..., Predictor] = field(kw_only=True)
    fewest_runs: int = field(default=FEWEST_RUNS, kw_only=True)
    needs_utility: bool = field(default=False, kw_only=True)
