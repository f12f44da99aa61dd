"""UtiliMax (Held et al. 2025, arXiv 2501.11747) as a method of the mixture stage: see `portfolio`.

For the stitch layers the tasks of an expert count as one, and so do all that no expert serves: stitches must see
the text of every expert, however many benchmarks ask for it. Their risk is the one that gives the wanted effective
number of sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tasks.mixture.mixture_method import MixtureMethod, Question
from tasks.mixture.settings import MixtureSettings

if TYPE_CHECKING:
    import pandas as pd

    from tasks.mixture.mixture import Mixture
    from tasks.training.token_plans import Array

# 1 / (3 * .15^2 + .55^2) = 2.7 effective sources of 4: the stitch mix of arXiv 2502.00075.
STITCH_EFFECTIVE_SHARE = 1 / (3 * 0.15**2 + 0.55**2) / 4
INTERVAL_BOOTSTRAPS = 200


class UtilimaxMixture(MixtureSettings):
    """Settings of the method utilimax."""

    method: Literal["utilimax"] = "utilimax"
    risk: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Risk weight of the seed's mixture; empty: the number of sources, as in the paper.",
    )
    kappa: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Weight of the utility's standard errors in the risk of the seed's mixture: sources whose "
        "utility is known badly get less. 0: the paper's risk.",
    )
    stitch_effective_sources: float | None = Field(
        None,
        ge=1,
        allow_inf_nan=False,
        description="Effective number of sources of the stitch layers' mixture; empty: 0.675 for each source, as the "
        "15/15/15/55 of arXiv 2502.00075 has 2.7 of 4.",
    )


def _solve(settings: UtilimaxMixture, question: Question) -> Mixture:
    from tasks.mixture.portfolio import utilimax

    assert question.utility is not None
    drawn = 0 if question.errors is None else INTERVAL_BOOTSTRAPS
    return utilimax(
        question.utility,
        question.tokens,
        question.budget,
        settings.epoch_cap,
        settings.risk,
        question.errors,
        settings.kappa,
        drawn,
    )


def _solve_stitches(settings: UtilimaxMixture, question: Question) -> Mixture:
    from tasks.mixture.effective_sources import with_effective_sources
    from tasks.mixture.mixture import planned
    from tasks.mixture.portfolio import aligned
    from tasks.training.token_plans import capacity, check_budget, check_sizes, upper_bounds

    assert question.utility is not None
    sizes, budget = check_sizes(question.tokens), check_budget(question.budget)
    wanted = settings.stitch_effective_sources or max(1.0, STITCH_EFFECTIVE_SHARE * len(sizes))
    values = _by_expert(aligned("utility", question.utility, sizes), question.experts)
    limit = capacity(sizes, budget, settings.epoch_cap, question.used)
    solved = with_effective_sources(values, upper_bounds(sizes, limit, budget), wanted)
    facts = {"method": "utilimax", "epoch_cap": settings.epoch_cap, **solved.facts}
    return planned(solved.solution.w, sizes, budget, limit, question.used, facts)


def _by_expert(utility: pd.DataFrame, experts: Sequence[Sequence[str]]) -> Array:
    """Utility (sources, groups): the mean over each expert's tasks and over those of none; all tasks if no experts."""
    import numpy as np

    if not experts:
        return utility.to_numpy(float)
    served = {task for tasks in experts for task in tasks}
    groups = [list(tasks) for tasks in experts] + [[task for task in utility.columns if task not in served]]
    return np.column_stack([utility[tasks].mean(axis=1).to_numpy(float) for tasks in groups if tasks])


METHOD = MixtureMethod(
    settings=UtilimaxMixture,
    title="UtiliMax",
    line="as useful to all benchmarks as the utilities say, less a risk for concentration",
    paper="Held et al. 2025, arXiv 2501.11747",
    equation="min |w'U - 1|_2 + risk w'Rw",
    evidence="utility",
    needs_sizes=False,
    solve=_solve,
    solve_stitches=_solve_stitches,
)
