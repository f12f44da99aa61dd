"""UtiliMax (Held et al. 2025, arXiv 2501.11747): the mixture nearest to an ideal one, less a risk.

    minimise   || w'U - 1 ||_2 + risk * || w ||_2^2
    subject to w >= 0,  sum(w) = 1,  budget * w_i / |D_i| <= epoch cap

with U the utility of source i for task j in [0, 1]. The norm is not squared, and risk is the number of
sources unless given. The bound of a source is whole tokens: floor(epoch cap * |D_i|) / budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tasks.mixture.budget import capacity, check_budget, check_cap, check_names, check_sizes, upper_bounds
from tasks.mixture.capped_simplex import Array
from tasks.mixture.mixture import Mixture, planned
from tasks.mixture.solver import Solution, solve


def utilimax(
    utility: pd.DataFrame,
    tokens: Mapping[str, int],
    budget: int,
    epoch_cap: float = 4.0,
    risk: float | None = None,
) -> Mixture:
    """The UtiliMax mixture of `budget` tokens.

    utility: sources x tasks in [0, 1], matched to `tokens` (tokens a source holds) by name. risk: at least 0;
    None: the number of sources. The certificate holds objective, norm, risk and the duality gap.

    Raises ValueError for names that do not match, values outside [0, 1] and budgets that the cap does not
    allow (naming the largest that it does), RuntimeError where the solver does not reach its gap.
    """
    sizes = check_sizes(tokens)
    budget, epoch_cap = check_budget(budget), check_cap(epoch_cap)
    values = aligned("utility", utility, sizes).to_numpy(float)
    if risk is None:
        risk = float(len(sizes))
    if not (math.isfinite(risk) and risk >= 0):
        raise ValueError(
            f"risk={risk}: must be a finite number of at least 0, or None for the number of sources"
        )
    limit = capacity(sizes, budget, epoch_cap)
    solution = solve(values, upper_bounds(sizes, limit, budget), risk)
    cap = None if math.isinf(epoch_cap) else epoch_cap
    facts = {"method": "utilimax", "epoch_cap": cap, **solved_facts(solution, risk)}
    return planned(solution.w, sizes, budget, limit, {}, facts)


def solved_facts(solution: Solution, risk: float) -> dict[str, Any]:
    """What the certificate says of a solution."""
    return {
        "objective": solution.objective,
        "norm": solution.norm,
        "risk": risk,
        "gap": solution.gap,
        "steps": solution.steps,
    }


def aligned(what: str, table: pd.DataFrame, sources: Mapping[str, object]) -> pd.DataFrame:
    """The sources x tasks table with its rows in the order of `sources`.

    Raises ValueError for names that repeat or do not match, no tasks, and values outside [0, 1].
    """
    for axis, names in (("source", table.index), ("task", table.columns)):
        repeated = sorted({str(name) for name in names[names.duplicated()]})
        if repeated:
            raise ValueError(f"{what}: {axis} names {repeated} stand twice; each may stand once")
    check_names(what, dict.fromkeys(table.index), sources)
    if table.shape[1] == 0:
        raise ValueError(f"{what}: no tasks; it needs a column for each task")
    table = table.loc[list(sources)]
    check_unit_interval(what, table)
    return table


def check_unit_interval(what: str, table: pd.DataFrame) -> None:
    """ValueError naming the first cell that is not a number in [0, 1]."""
    values: Array = table.to_numpy(float)
    wrong = np.argwhere(~((values >= 0) & (values <= 1)))
    if len(wrong):
        i, j = wrong[0]
        raise ValueError(
            f"{what} of source {table.index[i]!r} for task {table.columns[j]!r} is {values[i, j]}: must be a "
            "number from 0 to 1"
        )
