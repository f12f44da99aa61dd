"""The default mixture: diminishing returns, and never further from UniMax than the evidence carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tasks.mixture.mixture_method import MixtureMethod, Question
from tasks.mixture.stitch_portfolio import StitchSettings, solve_stitches

if TYPE_CHECKING:
    import pandas as pd

    from tasks.mixture.mixture import Mixture
    from tasks.mixture.returns.curves import Curves
    from tasks.mixture.solver.capped_simplex import Array


class ReturnsMixture(StitchSettings):
    """Settings of the method returns: none of its own."""

    method: Literal["returns"] = "returns"


def sure_returns(question: Question, epoch_cap: float) -> Mixture:
    """The mixture whose gain over UniMax is best in the worst of what the evidence leaves possible.

    Where losses were measured, half of what is sure in the worst tenth is enough, and the rest is the mean's.
    The evidence is the best that is there: `question.found.runs` where some are on mixtures; losses of proxies on one
    source each, in them or `question.found.losses`; `question.utility` with `question.errors` (None: known exactly);
    or none: UniMax. Losses are above 0. Raises ValueError for names that do not match and budgets that the cap does
    not allow.
    """
    import numpy as np

    from tasks.mixture.returns.choosing import choose, useless_by_curves, useless_by_utility
    from tasks.training.token_plans import check_budget, check_cap, check_sizes

    sizes = check_sizes(question.tokens)
    budget, cap = check_budget(question.budget), check_cap(epoch_cap)
    names = list(sizes)
    useless, curves, words = np.zeros(len(names), bool), None, []
    if question.utility is not None:
        values, errors = _cells("utility", question.utility, question.errors, names)
        useless |= useless_by_utility(values, errors)
    for known in (_of_runs, _of_losses, _of_utility):
        curves, why = known(question, names)
        words += [why] if why else []
        if curves is not None:
            break
    if curves is not None:
        useless |= useless_by_curves(curves)
    return choose(curves, useless, sizes, budget, cap, question.used, words)


def _of_runs(question: Question, names: list[str]) -> tuple[Curves | None, str]:
    from tasks.mixture.found_weights import weights_and_losses
    from tasks.mixture.returns.run_evidence import curves_of_runs
    from tasks.training.token_plans import check_names

    if question.found.runs is None:
        return None, ""
    weights, losses = weights_and_losses(question.found.runs)
    check_names("the runs' mixtures", dict.fromkeys(weights.columns), dict.fromkeys(names))
    mixed = int(((weights > 0).sum(axis=1) > 1).sum())
    if not mixed:
        return None, ""
    if not (losses > 0).all(axis=None):
        return None, "the runs' losses are not all above 0 and do not count"
    if 2 * len(weights) < len(names):
        return None, f"{len(weights)} runs are fewer than half of the {len(names)} sources and do not count"
    losses = losses[sorted(losses.columns)]
    curves = curves_of_runs(weights[names].to_numpy(float), losses.to_numpy(float))
    return curves, f"{mixed} runs on mixtures and {len(weights) - mixed} on one source each"


def _of_losses(question: Question, names: list[str]) -> tuple[Curves | None, str]:
    from tasks.mixture.found_weights import weights_and_losses
    from tasks.mixture.returns.cell_evidence import curves_of_losses

    losses, errors = question.found.losses, question.found.loss_errors
    if losses is None and question.found.runs is not None:
        weights, losses = weights_and_losses(question.found.runs)
        alone = (weights > 0).sum(axis=1) == 1
        losses = losses[alone].groupby(weights[alone].idxmax(axis=1)).mean()
        if not set(names) <= set(losses.index):
            return None, "not every source has a proxy of its own"
        if question.errors is not None and set(question.errors.columns) == set(losses.columns):
            errors = question.errors.loc[names, losses.columns] * (losses.max() - losses.min())
    if losses is None:
        return None, ""
    values, spread = _cells("losses", losses, errors, names)
    if not (values > 0).all():
        return None, "the proxies' losses are not all above 0: their utilities count"
    return curves_of_losses(values, spread), f"one proxy a source, losses on {_tasks(values)}"


def _of_utility(question: Question, names: list[str]) -> tuple[Curves | None, str]:
    from tasks.mixture.returns.cell_evidence import curves_of_utilities

    if question.utility is None:
        return None, ""
    values, errors = _cells("utility", question.utility, question.errors, names)
    return curves_of_utilities(values, errors), f"utilities for {_tasks(values)}"


def _tasks(values: Array) -> str:
    return f"{values.shape[1]} task" + ("s" if values.shape[1] > 1 else "")


def _cells(
    what: str, values: pd.DataFrame, errors: pd.DataFrame | None, names: list[str]
) -> tuple[Array, Array]:
    """Values and standard errors (d, T) in the order of the names; errors that are not given are 0."""
    from tasks.mixture.portfolio import aligned, aligned_errors, by_source

    read = aligned if what == "utility" else by_source
    table = read(what, values, dict.fromkeys(names))
    table = table[sorted(table.columns, key=str)]
    spread = 0 * table if errors is None else aligned_errors(errors, table)
    return table.to_numpy(float), spread.to_numpy(float)


METHOD = MixtureMethod(
    settings=ReturnsMixture,
    title="Sure returns",
    line="diminishing returns, as far from UniMax as the evidence carries",
    paper="the choice: Rockafellar and Uryasev 2000, conditional value at risk; the curves: Hoffmann et al. 2022, "
    "arXiv 2203.15556",
    equation="max mean of the worst of [L(UniMax) - L(w)], L_j(w) = E_j + (sum_i k_ij w_i^b_j)^-a_j",
    evidence="utility",
    reads_runs=True,
    needs_sizes=False,
    solve=lambda settings, question: sure_returns(question, settings.epoch_cap),
    solve_stitches=solve_stitches,
)
