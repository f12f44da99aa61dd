"""Weights that proxies found, under the exact cap of the stage that trains on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.mixture.mixture import Mixture, planned
from tasks.mixture.mixture_method import Found
from tasks.mixture.solver.capped_simplex import fill
from tasks.training.token_plans import capacity, check_budget, check_names, check_sizes, upper_bounds

RUNS = "runs.csv"
NEEDS_SWARM = "method='law' is fitted to a swarm of runs; allowed: utility.method=ablation with swarm above 0"


def learnt_mixture(
    method: str,
    found: Found,
    tokens: Mapping[str, int],
    budget: int,
    epoch_cap: float,
    used: Mapping[str, float],
) -> Mixture:
    """The learnt weights, with what the cap takes from a source shared out in proportion to the others' weights.

    The certificate holds the weights as they were learnt and the sources whose were capped. Raises ValueError
    for names that do not match and for a budget that the cap does not allow.
    """
    assert found.weights is not None, f"nothing was learnt for {method}"
    return capped(found.weights, tokens, budget, epoch_cap, used, {"method": method, **found.facts})


def has_runs(utility: Path) -> bool:
    """Whether the utility was made of proxies' runs, which lie beside it."""
    return (utility / RUNS).is_file()


def read_runs_of(utility: Path) -> pd.DataFrame:
    """The proxies' runs beside an ablation utility; ValueError where the utility has none."""
    if not has_runs(utility):
        raise ValueError(NEEDS_SWARM)
    return pd.read_csv(utility / RUNS)


def runs_of(weights: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """Mixtures (runs x sources) and losses (runs x tasks) as one table; `weights_and_losses` takes it apart."""
    return weights.add_prefix("w_").join(losses.add_prefix("loss_"))


def weights_and_losses(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mixtures (runs x sources) and losses (runs x tasks) of a table with columns w_<source> and loss_<task>."""
    weights, losses = (
        runs[columns].set_axis([name.removeprefix(prefix) for name in columns], axis=1)
        for prefix in ("w_", "loss_")
        for columns in [[name for name in runs.columns if name.startswith(prefix)]]
    )
    return weights, losses


def capped(
    weights: Mapping[str, float],
    tokens: Mapping[str, int],
    budget: int,
    epoch_cap: float,
    used: Mapping[str, float],
    facts: Mapping[str, Any],
) -> Mixture:
    """The weights, with what the cap takes from a source shared out; the certificate says what was capped."""
    sizes, budget = check_sizes(tokens), check_budget(budget)
    check_names("weights", weights, sizes)
    limit = capacity(sizes, budget, epoch_cap, used)
    upper = upper_bounds(sizes, limit, budget)
    w = np.array([weights[name] for name in sizes])
    over = [name for name, weight, bound in zip(sizes, w, upper, strict=True) if weight > bound + 1e-12]
    told = {"epoch_cap": epoch_cap, "before_cap": dict(weights), "capped": over}
    return planned(fill(w, upper), sizes, budget, limit, used, {**facts, **told})
