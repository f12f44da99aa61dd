"""The method `law`: what a law proposes that is fitted to a swarm of proxies, under the exact cap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from tasks.mixture.laws import LAWS_BY_NAME
from tasks.mixture.mixture_method import Found, MixtureMethod, Question
from tasks.mixture.settings import MixtureSettings
from tasks.training.token_plans import capacity, check_budget, check_names, check_sizes

if TYPE_CHECKING:
    import pandas as pd

    from tasks.mixture.mixture import Mixture


def _known(law: str) -> str:
    if law not in LAWS_BY_NAME:
        raise ValueError(f"no such law; allowed: {', '.join(LAWS_BY_NAME)}")
    return law


class LawMixture(MixtureSettings):
    """Settings of the method law."""

    method: Literal["law"] = "law"
    law: Annotated[str, AfterValidator(_known)] = Field(
        "auto", description=f"Which law: {', '.join(LAWS_BY_NAME)}; auto: stacked by cross-validation."
    )


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
    from tasks.mixture.found_weights import NEEDS_SWARM, capped, weights_and_losses
    from tasks.mixture.laws.fitted_law import fit_law

    assert found.runs is not None, "no runs were read for the law"
    weights, losses = weights_and_losses(found.runs)
    if not ((weights > 0).sum(axis=1) > 1).any():
        raise ValueError(NEEDS_SWARM)
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
    return capped(proposed.weights, sizes, budget, epoch_cap, used, facts)


def _solve(settings: LawMixture, question: Question) -> Mixture:
    assert question.utility is not None
    return law_mixture(
        settings.law,
        question.found,
        question.utility,
        question.tokens,
        question.budget,
        settings.epoch_cap,
        question.used,
    )


METHOD = MixtureMethod(
    settings=LawMixture,
    title="law",
    line="what a law proposes that is fitted to the swarm of utility.method=ablation",
    paper="Liu et al. 2024, arXiv 2407.01492, for the swarm",
    equation="min mean over tasks of the predicted loss_k(w), drawn towards proportional",
    evidence="swarm",
    solve=_solve,
)
