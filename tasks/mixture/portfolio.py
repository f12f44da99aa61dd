"""UtiliMax (Held et al. 2025, arXiv 2501.11747): the mixture nearest to an ideal one, less a risk.

    minimise   || w'U - 1 ||_2 + risk * w'R w
    subject to w >= 0,  sum(w) = 1,  budget * w_i / |D_i| <= epoch cap

with U the utility of source i for task j in [0, 1]. The norm is not squared, and risk is the number of
sources unless given. The bound of a source is whole tokens: floor(epoch cap * |D_i|) / budget.

R is the identity, as in the paper; or, where standard errors s_ij are given, the robust form

    R = I + kappa * S,     S diagonal,  S_ii = (mean over j of s_ij^2) / (mean over i and j of s_ij^2):

the utility of a mix, w'U_j, has variance sum_i w_i^2 s_ij^2. S alone would leave all weight to the few sources
whose utility is known best. Soft epochs, instead of the cap: see `soft_epochs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.mixture.mixture import Mixture, planned
from tasks.mixture.solver.capped_simplex import Array
from tasks.mixture.solver.optimality import optimality
from tasks.mixture.solver.problem import Problem
from tasks.mixture.solver.soft_epochs import REPEATS_WORTH, Repetition, solve_soft
from tasks.mixture.solver.solving import Solution, solve
from tasks.training.token_plans import (
    capacity,
    check_budget,
    check_cap,
    check_names,
    check_sizes,
    upper_bounds,
)

BILLION = 10**9
INTERVAL = (0.025, 0.975)


def utilimax(
    utility: pd.DataFrame,
    tokens: Mapping[str, int],
    budget: int,
    epoch_cap: float = 4.0,
    risk: float | None = None,
    errors: pd.DataFrame | None = None,
    kappa: float = 1.0,
    bootstraps: int = 0,
    soft_epochs: bool | float = False,
) -> Mixture:
    """The UtiliMax mixture of `budget` tokens.

    utility: sources x tasks in [0, 1], matched to `tokens` (tokens a source holds) by name. risk: at least 0;
    None: the number of sources. errors: standard errors of the utility's cells; with them the risk is the robust
    one, with weight kappa (0: the paper's), and the weights come with 95% intervals over `bootstraps` utilities
    drawn from normal distributions and cut to [0, 1]. soft_epochs: instead of the cap, what is repeated is worth
    less (True: R = 15.39; or R itself).

    The certificate holds objective, norm, risk, duality gap, kkt_residual (largest violation of the conditions of
    optimality, relative), shadow_prices (what a billion more tokens of a source would make the objective fall
    by, to first order; not with soft epochs), marginal_utility (what a unit of a source's weight makes it fall
    by, by way of each task) and weight_intervals.

    Raises ValueError for names that do not match, values outside [0, 1] and budgets that the cap does not
    allow (naming the largest that it does), RuntimeError where the solver does not reach its gap.
    """
    sizes = check_sizes(tokens)
    budget, epoch_cap = check_budget(budget), check_cap(epoch_cap)
    table = aligned("utility", utility, sizes)
    spread = None if errors is None else aligned_errors(errors, table).to_numpy(float)
    if spread is None and bootstraps:
        raise ValueError(f"bootstraps={bootstraps}: intervals need the standard errors of the utility")
    weight = float(len(sizes)) if risk is None else risk
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(
            f"risk={risk}: must be a finite number of at least 0, or None for the number of sources"
        )
    if not (math.isfinite(kappa) and kappa >= 0):
        raise ValueError(f"kappa={kappa}: must be a finite number of at least 0")
    worth = REPEATS_WORTH if soft_epochs is True else float(soft_epochs)
    if worth < 0 or (worth and not weight > 0):
        raise ValueError(
            f"soft_epochs={soft_epochs} with risk={weight:g}: R must be above 0, and so must the risk beside it"
        )
    cap = math.inf if worth else epoch_cap
    limit = capacity(sizes, budget, cap)
    portfolio = _Portfolio(
        upper=upper_bounds(sizes, limit, budget),
        risk=weight * _relative_risks(spread, kappa, len(sizes)),
        repetition=Repetition(np.array(list(sizes.values())) / budget, worth) if worth else None,
    )
    values = table.to_numpy(float)
    solution = portfolio.solved(values)
    told, later = portfolio.told(values, solution, table, sizes, budget, cap)
    facts: dict[str, Any] = {
        "method": "utilimax",
        "epoch_cap": None if math.isinf(cap) else cap,
        **solved_facts(solution, weight),
        "kappa": 0.0 if spread is None else kappa,
        **told,
    }
    if worth:
        facts["soft_epochs"] = worth
    if spread is not None and bootstraps:
        facts["weight_intervals"] = portfolio.intervals(values, spread, list(sizes), bootstraps)
    return planned(solution.w, sizes, budget, limit, {}, facts, later)


@dataclass(frozen=True)
class _Portfolio:
    """What does not change with the utility: bounds and risks (d,), and perhaps the worth of repetition."""

    upper: Array
    risk: Array
    repetition: Repetition | None

    def solved(self, values: Array) -> Solution:
        if self.repetition is not None:
            return solve_soft(values, self.risk, self.repetition)
        return solve(values, self.upper, self.risk)

    def told(
        self,
        values: Array,
        solution: Solution,
        table: pd.DataFrame,
        sizes: Mapping[str, int],
        budget: int,
        epoch_cap: float,
    ) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
        """What certifies the solution, and what it says of the sources by name, made when it is asked for."""
        if self.repetition is None:
            found = optimality(Problem.of(values, self.upper, self.risk), solution.w, solution.v)
        else:
            found = optimality(self._local(values, solution.w), solution.w, solution.v)

        def marginal_utility() -> dict[str, dict[str, float]]:
            tasks = table.columns.tolist()
            rows = zip(sizes, found.gains.tolist(), strict=True)
            return {name: dict(zip(tasks, row, strict=True)) for name, row in rows}

        later: dict[str, Callable[[], Any]] = {"marginal_utility": marginal_utility}
        if self.repetition is None:
            # A token more raises the bound of its source by epoch cap / budget, unless the whole budget fits already.
            each = 0.0 if math.isinf(epoch_cap) else BILLION * epoch_cap / budget
            later["shadow_prices"] = lambda: dict(
                zip(sizes, (each * found.bound_prices).tolist(), strict=True)
            )
        return {"kkt_residual": found.residual}, later

    def _local(self, values: Array, w: Array) -> Problem:
        """The problem linearised at w, whose conditions of optimality there are those of the soft one."""
        assert self.repetition is not None
        slope = self.repetition.slope(w)
        target = 1 - (self.repetition.value(w) - slope * w) @ values
        return Problem.of(slope[:, None] * values, self.upper, self.risk, target)

    def intervals(
        self, values: Array, spread: Array, names: list[str], bootstraps: int
    ) -> dict[str, list[float]]:
        """name -> the 2.5% and 97.5% quantiles of its weight over utilities drawn anew."""
        generator = np.random.default_rng(0)
        drawn = np.array(
            [
                self.solved(np.clip(values + spread * generator.standard_normal(values.shape), 0, 1)).w
                for _ in range(bootstraps)
            ]
        )
        low, high = np.quantile(drawn, INTERVAL, axis=0)
        return {name: [float(a), float(b)] for name, a, b in zip(names, low, high, strict=True)}


def _relative_risks(spread: Array | None, kappa: float, num_sources: int) -> Array:
    """The diagonal of R (d,), from standard errors (d, T)."""
    if spread is None or kappa == 0 or not spread.any():
        return np.ones(num_sources)
    variance = (spread**2).mean(axis=1)
    return 1 + kappa * variance / variance.mean()


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
    """As `by_source`; ValueError for values outside [0, 1] too."""
    table = by_source(what, table, sources)
    check_unit_interval(what, table)
    return table


def by_source(what: str, table: pd.DataFrame, sources: Mapping[str, object]) -> pd.DataFrame:
    """The sources x tasks table with its rows in the order of `sources`.

    Raises ValueError for names that repeat or do not match, and no tasks.
    """
    for axis, names in (("source", table.index), ("task", table.columns)):
        if not names.is_unique:
            repeated = sorted({str(name) for name in names[names.duplicated()]})
            raise ValueError(f"{what}: {axis} names {repeated} stand twice; each may stand once")
    given, wanted = table.index.tolist(), list(sources)
    if given != wanted:
        check_names(what, dict.fromkeys(given), sources)
    if table.shape[1] == 0:
        raise ValueError(f"{what}: no tasks; it needs a column for each task")
    places = {name: place for place, name in enumerate(given)}
    return table if given == wanted else table.take([places[name] for name in wanted])


def aligned_errors(errors: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """The standard errors in the order of the utility's sources and tasks.

    Raises ValueError for names that do not match, and errors that are not finite and at least 0.
    """
    check_names("errors of the utility", dict.fromkeys(errors.index), dict.fromkeys(values.index))
    if set(errors.columns) != set(values.columns):
        raise ValueError(
            f"errors of the utility: tasks {sorted(errors.columns)} are not those of the utility, "
            f"{sorted(values.columns)}"
        )
    spread = errors.loc[values.index, values.columns]
    cells = spread.to_numpy(float)
    if not (np.isfinite(cells).all() and (cells >= 0).all()):
        raise ValueError("errors of the utility: every standard error must be finite and at least 0")
    return spread


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
