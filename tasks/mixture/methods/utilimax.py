"""UtiliMax (Held et al. 2025, arXiv 2501.11747) as a method of the mixture stage: see `portfolio`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tasks.mixture.mixture_method import MixtureMethod, Question
from tasks.mixture.stitch_portfolio import StitchSettings, solve_stitches

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture

INTERVAL_BOOTSTRAPS = 200


class UtilimaxMixture(StitchSettings):
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


METHOD = MixtureMethod(
    settings=UtilimaxMixture,
    title="UtiliMax",
    line="as useful to all benchmarks as the utilities say, less a risk for concentration",
    paper="Held et al. 2025, arXiv 2501.11747",
    equation="min |w'U - 1|_2 + risk w'Rw",
    evidence="utility",
    needs_sizes=False,
    solve=_solve,
    solve_stitches=solve_stitches,
)
