"""Mixtures from what proxies found: weights learnt online, or a law fitted to a swarm of runs; capped exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.mixture.mixture import Mixture, planned
from tasks.mixture.solver.capped_simplex import fill
from tasks.training.token_plans import capacity, check_budget, check_names, check_sizes, upper_bounds

NEEDS_SWARM = "method='law' is fitted to a swarm of runs; allowed: utility.method=ablation with swarm above 0"


@dataclass(frozen=True)
class Found:
    """What proxies found, as far as the method asks. weights: source -> learnt weight; facts: what is told of them.

    runs: mixtures and losses of proxies, columns w_<source> and loss_<task>.
    """

    weights: Mapping[str, float] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    runs: pd.DataFrame | None = None


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
    return _capped(found.weights, tokens, budget, epoch_cap, used, {"method": method, **found.facts})


def law_mixture(
    law: str,
    found: Found,
    utility: pd.DataFrame,
    tokens: Mapping[str, int],
    budget: int,
    epoch_cap: float,
    used: Mapping[str, float],
) -> Mixture:
    """What the law proposes after the proxies' runs, drawn towards proportional, on what the lineage left.

    utility: the prior of the law `fusion`; by ablation it comes from the same runs. Raises ValueError where the
    runs hold no mixture of several sources, and as `fit_law` and `learnt_mixture`.
    """
    from tasks.mixture.laws.fitted_law import fit_law

    weights, losses = _weights_and_losses(found.runs)
    sizes, budget = check_sizes(tokens), check_budget(budget)
    check_names("the runs' mixtures", dict.fromkeys(weights.columns), sizes)
    capacity(sizes, budget, epoch_cap, used)
    fitted = fit_law(weights, losses, law, utility=utility if law == "fusion" else None)
    # One epoch of what is left under the cap, so that the law knows the bounds of this stage.
    left = {name: max(int(epoch_cap * size) - int(used.get(name, 0)), 1) for name, size in sizes.items()}
    proposed = fitted.propose(budget, left, 1.0, prior=sizes)
    told = {
        k: v for k, v in proposed.certificate.items() if k in ("predicted", "pull", "beyond_runs", "search")
    }
    facts = {"method": "law", "law": law, "runs": len(weights), **told, "law_about": fitted.about}
    return _capped(proposed.weights, sizes, budget, epoch_cap, used, facts)


def read_runs_of(utility: Path) -> pd.DataFrame:
    """The proxies' runs beside an ablation utility; ValueError where the utility has none."""
    path = utility / "runs.csv"
    if not path.is_file():
        raise ValueError(NEEDS_SWARM)
    return pd.read_csv(path)


def _weights_and_losses(runs: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    assert runs is not None, "no runs were read for the law"
    weights, losses = (
        runs[columns].set_axis([name.removeprefix(prefix) for name in columns], axis=1)
        for prefix in ("w_", "loss_")
        for columns in [[name for name in runs.columns if name.startswith(prefix)]]
    )
    if not ((weights > 0).sum(axis=1) > 1).any():
        raise ValueError(NEEDS_SWARM)
    return weights, losses


def _capped(
    weights: Mapping[str, float],
    tokens: Mapping[str, int],
    budget: int,
    epoch_cap: float,
    used: Mapping[str, float],
    facts: Mapping[str, Any],
) -> Mixture:
    sizes, budget = check_sizes(tokens), check_budget(budget)
    check_names("weights", weights, sizes)
    limit = capacity(sizes, budget, epoch_cap, used)
    upper = upper_bounds(sizes, limit, budget)
    w = np.array([weights[name] for name in sizes])
    over = [name for name, weight, bound in zip(sizes, w, upper, strict=True) if weight > bound + 1e-12]
    told = {"epoch_cap": epoch_cap, "before_cap": dict(weights), "capped": over}
    return planned(fill(w, upper), sizes, budget, limit, used, {**facts, **told})
