"""The mixtures of one experiment: seed, experts and stitch layers, with epochs counted along the lineage.

An expert is defined by the tasks it serves (its own). With U the utility and O the own tasks,

    R_ij = U_ij - mean over k not in O of U_ik        (j in O; R = U where every task is own)

is the relative utility. What is of no use to any task has R near 0, above sources that serve the others, so
R alone would fill an expert with junk: only sources whose mean R over O, or whose R for one of its tasks, is
significantly above 0 and not negligible beside the best source's are admitted. Among those UtiliMax is
solved on R, clipped to [0, 1], with the risk weight at which 1 / sum of squared weights is the wanted number.
A share of the tokens replays the seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.mixture.effective_sources import with_effective_sources
from tasks.mixture.methods import method_of
from tasks.mixture.mixture import Mixture, planned
from tasks.mixture.mixture_method import Found, Question
from tasks.mixture.portfolio import aligned, aligned_errors
from tasks.mixture.settings import MixtureSettings
from tasks.mixture.solver.capped_simplex import Array, fill
from tasks.training.token_plans import capacity, check_budget, check_names, check_sizes, upper_bounds

Positions = NDArray[np.intp]


def seed_plan(
    utility: pd.DataFrame,
    tokens: Mapping[str, int],
    budget: int,
    settings: MixtureSettings,
    found: Found = Found(),
    errors: pd.DataFrame | None = None,
) -> Mixture:
    """The seed's mixture: the method of the settings, over all tasks.

    utility: sources x tasks in [0, 1]; errors: its standard errors, which give UtiliMax's weights their intervals;
    tokens: tokens each source holds; budget: tokens of the stage; found: what
    proxies found, for the methods that train some. Raises ValueError for names that do not match and for a
    budget that the cap does not allow.
    """
    question = Question(tokens, budget, utility, errors, found=found)
    return method_of(settings).solve(settings, question)


def stitch_plan(
    utility: pd.DataFrame,
    tokens: Mapping[str, int],
    budget: int,
    settings: MixtureSettings,
    used: Mapping[str, float],
    found: Found = Found(),
    experts: Sequence[Sequence[str]] = (),
) -> Mixture:
    """The stitch layers' mixture: the method of the settings over all tasks, on what the lineage left.

    used: tokens by source that the seed and the greediest expert consumed. experts: the tasks that each expert
    serves. Raises as `seed_plan`.
    """
    method = method_of(settings)
    question = Question(tokens, budget, utility, used=used, found=found, experts=experts)
    return (method.solve_stitches or method.solve)(settings, question)


def expert_plan(
    utility: pd.DataFrame,
    errors: pd.DataFrame,
    own: Sequence[str],
    seed: Mixture,
    tokens: Mapping[str, int],
    budget: int,
    settings: MixtureSettings,
    used: Mapping[str, float],
) -> Mixture:
    """The mixture of an expert for the tasks `own`, on what the lineage (the seed: `used` tokens) left.

    utility, errors: sources x tasks, values in [0, 1] and their standard errors. Where the admitted sources
    cannot hold the budget, further ones are admitted by descending utility for the own tasks. Where the
    replay of the seed's mixture passes a source's cap, the excess goes to the free sources in proportion to
    their weights. The certificate names admitted sources, relative utility and its errors, and the number of
    sources reached. Raises ValueError for unknown or no own tasks, and as `seed_plan`.
    """
    sizes, budget = check_sizes(tokens), check_budget(budget)
    values = aligned("utility", utility, sizes)
    spread = aligned_errors(errors, values)
    unknown = sorted(set(own) - set(values.columns))
    if unknown or not own:
        raise ValueError(
            f"tasks of an expert: {list(own)}: unknown {unknown}; "
            f"name at least one of {sorted(values.columns)}"
        )
    check_names("the seed's mixture", seed.weights, sizes)
    limit = capacity(sizes, budget, settings.epoch_cap, used)
    upper = upper_bounds(sizes, limit, budget)

    own = [task for task in values.columns if task in set(own)]
    relative = relative_utility(values, own)
    cells = np.column_stack([relative.mean(axis=1), relative])
    cell_errors = np.column_stack(
        [_relative_error(spread, own, tasks) for tasks in (own, *([t] for t in own))]
    )
    usefulness = values[own].mean(axis=1).to_numpy()
    admitted, added = _admitted(cells, cell_errors, usefulness, upper, settings)
    found = with_effective_sources(
        np.clip(relative.to_numpy()[admitted], 0, 1), upper[admitted], settings.expert_effective_sources
    )
    before_replay = np.zeros(len(sizes))
    before_replay[admitted] = found.solution.w
    replayed = np.array([seed.weights[name] for name in sizes])
    mixed = (1 - settings.replay_share) * before_replay + settings.replay_share * replayed
    w = fill(mixed, upper)
    names = np.array(list(sizes))
    facts = {
        "method": "relative utility",
        "epoch_cap": settings.epoch_cap,
        "own_tasks": own,
        "admitted": sorted(names[admitted].tolist()),
        "admitted_for_capacity": sorted(names[added].tolist()),
        "relative_utility": dict(zip(sizes, cells[:, 0].tolist(), strict=True)),
        "relative_utility_errors": dict(zip(sizes, cell_errors[:, 0].tolist(), strict=True)),
        "replay_share": settings.replay_share,
        "capped_in_replay": sorted(names[mixed > upper + 1e-12].tolist()),
        "before_replay": dict(zip(sizes, before_replay.tolist(), strict=True)),
        **found.facts,
    }
    return planned(w, sizes, budget, limit, used, facts)


def relative_utility(utility: pd.DataFrame, own: Sequence[str]) -> pd.DataFrame:
    """R (sources x own tasks): utility for the own tasks less the source's mean over the other tasks."""
    others = [task for task in utility.columns if task not in set(own)]
    mean_of_others = utility[others].mean(axis=1) if others else 0.0
    return utility[list(own)].sub(mean_of_others, axis=0)


def _relative_error(errors: pd.DataFrame, own: Sequence[str], tasks: Sequence[str]) -> Array:
    """Standard error of mean R over `tasks`, some of the own; the utility's cells count as independent."""
    others = [task for task in errors.columns if task not in set(own)]
    variance = (errors[list(tasks)] ** 2).sum(axis=1) / len(tasks) ** 2
    if others:
        variance = variance + (errors[others] ** 2).sum(axis=1) / len(others) ** 2
    return np.sqrt(variance.to_numpy(float))


def _admitted(
    relative: Array, errors: Array, usefulness: Array, upper: Array, settings: MixtureSettings
) -> tuple[Positions, Positions]:
    """Positions of the admitted sources, and of those among them that are there to hold the budget.

    relative and errors (sources, 1 + own tasks): R on average over the own tasks, then for each of them.
    """
    open_sources = upper > 0
    reachable = np.where(open_sources[:, None], relative, -np.inf)
    bar = np.maximum(
        settings.admission_errors * errors, settings.admission_share * np.maximum(reachable.max(axis=0), 0)
    )
    chosen = (reachable > bar).any(axis=1)
    if not chosen.any():
        chosen[int(reachable[:, 0].argmax())] = True
    added = []
    for i in np.argsort(-usefulness, kind="stable"):
        if upper[chosen].sum() >= 1:
            break
        if open_sources[i] and not chosen[i]:
            chosen[i] = True
            added.append(int(i))
    return np.flatnonzero(chosen), np.array(added, dtype=np.intp)
