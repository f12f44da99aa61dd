"""The stitch layers' mixture of UtiliMax and of the default: spread over the text of every expert.

The tasks of an expert count as one, and so do all that no expert serves: stitches must see the text of every
expert, however many benchmarks ask for it. The risk is the one that gives the wanted effective number of sources; what
is of no use to any task gets 1% at most, as in the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from tasks.mixture.mixture_method import Question
from tasks.mixture.settings import MixtureSettings

if TYPE_CHECKING:
    import pandas as pd

    from tasks.mixture.mixture import Mixture
    from tasks.training.token_plans import Array

# 1 / (3 * .15^2 + .55^2) = 2.7 effective sources of 4: the stitch mix of arXiv 2502.00075.
STITCH_EFFECTIVE_SHARE = 1 / (3 * 0.15**2 + 0.55**2) / 4


class StitchSettings(MixtureSettings):
    """How far the stitch layers' mixture is spread."""

    stitch_effective_sources: float | None = Field(
        None,
        ge=1,
        allow_inf_nan=False,
        description="Effective number of sources of the stitch layers' mixture; empty: 0.675 for each source, as the "
        "15/15/15/55 of arXiv 2502.00075 has 2.7 of 4.",
    )


def solve_stitches(settings: StitchSettings, question: Question) -> Mixture:
    """The mixture at the wanted effective number of sources, on what the lineage left."""
    from tasks.mixture.effective_sources import with_effective_sources
    from tasks.mixture.mixture import planned
    from tasks.mixture.portfolio import aligned, aligned_errors
    from tasks.mixture.returns.choosing import useless_by_utility, with_useless_held
    from tasks.training.token_plans import capacity, check_budget, check_sizes, upper_bounds

    assert question.utility is not None
    sizes, budget = check_sizes(question.tokens), check_budget(question.budget)
    wanted = settings.stitch_effective_sources or max(1.0, STITCH_EFFECTIVE_SHARE * len(sizes))
    utility = aligned("utility", question.utility, sizes)
    errors = 0 * utility if question.errors is None else aligned_errors(question.errors, utility)
    useless = useless_by_utility(utility.to_numpy(float), errors.to_numpy(float))
    limit = capacity(sizes, budget, settings.epoch_cap, question.used)
    upper = with_useless_held(upper_bounds(sizes, limit, budget), useless)
    solved = with_effective_sources(_by_expert(utility, question.experts), upper, wanted)
    named = [name for name, is_useless in zip(sizes, useless, strict=True) if is_useless]
    facts = {"method": "utilimax", "epoch_cap": settings.epoch_cap, "useless": named, **solved.facts}
    return planned(solved.solution.w, sizes, budget, limit, question.used, facts)


def _by_expert(utility: pd.DataFrame, experts: Sequence[Sequence[str]]) -> Array:
    """Utility (sources, groups): the mean over each expert's tasks and over those of none; all tasks if no experts."""
    import numpy as np

    if not experts:
        return utility.to_numpy(float)
    served = {task for tasks in experts for task in tasks}
    groups = [list(tasks) for tasks in experts] + [[task for task in utility.columns if task not in served]]
    return np.column_stack([utility[tasks].mean(axis=1).to_numpy(float) for tasks in groups if tasks])
