"""The whole path of UtiliMax mixtures over budgets and epoch caps: what changes as data gets scarce."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasks.mixture.mixture import Mixture
from tasks.mixture.portfolio import utilimax
from tasks.training.token_plans import check_budget, check_cap, check_sizes, largest_budget


@dataclass(frozen=True)
class PathPoint:
    """A mixture of `budget` tokens under a cap; where the sources cannot give so much, no mixture, but why."""

    budget: int
    epoch_cap: float
    mixture: Mixture | None
    infeasible: str | None

    def row(self) -> dict[str, Any]:
        """JSON-ready: the place on the path (epoch cap None: none), the mixture and its facts, or why there is none."""
        cap = None if math.isinf(self.epoch_cap) else self.epoch_cap
        place = {"budget": self.budget, "epoch_cap": cap}
        if self.mixture is None:
            return {**place, "infeasible": self.infeasible}
        facts = self.mixture.certificate
        kept = ("objective", "gap", "kkt_residual", "effective_sources", "binding")
        told = {name: facts[name] for name in kept}
        return {**place, "weights": self.mixture.weights, "epochs": self.mixture.epochs, **told}


def mixture_path(
    utility: pd.DataFrame,
    tokens: Mapping[str, int],
    budgets: Sequence[int],
    epoch_caps: Sequence[float],
    **options: Any,
) -> list[PathPoint]:
    """UtiliMax at every budget under every cap, caps first. options: those of `utilimax`.

    Raises ValueError for what is wrong with the input; a budget that a cap does not allow is a point without
    a mixture.
    """
    sizes = check_sizes(tokens)
    for what, values in (("budgets", budgets), ("epoch caps", epoch_caps)):
        if not values:
            raise ValueError(f"{what}: none given; at least one is needed")
    places = [(check_budget(budget), check_cap(cap)) for cap in epoch_caps for budget in budgets]
    return list(_points(utility, sizes, places, options))


def _points(
    utility: pd.DataFrame,
    sizes: dict[str, int],
    places: list[tuple[int, float]],
    options: dict[str, Any],
) -> Iterator[PathPoint]:
    for budget, cap in places:
        most = largest_budget(sizes, cap)
        if most < budget:
            yield PathPoint(budget, cap, None, f"the sources hold at most {most:,} tokens under the cap")
        else:
            yield PathPoint(budget, cap, utilimax(utility, sizes, budget, cap, **options), None)
