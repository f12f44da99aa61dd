"""The risk at which a mixture has a wanted effective number of sources, 1 / sum of squared weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tasks.mixture.mixture import effective_sources
from tasks.mixture.portfolio import solved_facts
from tasks.mixture.solver.capped_simplex import Array
from tasks.mixture.solver.solving import Solution, solve

LOWEST_RISK, HIGHEST_RISK = 1e-6, 1e3
RISK_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Targeted:
    """A solution whose effective number of sources is as near to the wanted one as can be, and its risk."""

    solution: Solution
    risk: float
    facts: dict[str, Any]


def with_effective_sources(values: Array, upper: Array, wanted: float) -> Targeted:
    """Bisects the risk weight: the effective number of sources grows with it, from concentrated to even."""
    from scipy.optimize import brentq

    solved: dict[float, Solution] = {}

    def excess(log_risk: float) -> float:
        solved[log_risk] = solve(values, upper, math.exp(log_risk))
        return effective_sources(solved[log_risk].w) - wanted

    low, high = math.log(LOWEST_RISK), math.log(HIGHEST_RISK * len(upper))
    fewest, most = excess(low) + wanted, excess(high) + wanted
    if fewest >= wanted or most - fewest < RISK_TOLERANCE:
        chosen = low
    elif most <= wanted:
        chosen = high
    else:
        chosen = float(brentq(excess, low, high, xtol=RISK_TOLERANCE))
        excess(chosen)
    solution, risk = solved[chosen], math.exp(chosen)
    facts = {
        "effective_sources_wanted": wanted,
        "effective_sources_solved": effective_sources(solution.w),
        "effective_sources_attainable": [fewest, most],
        **solved_facts(solution, risk),
    }
    return Targeted(solution, risk, facts)
