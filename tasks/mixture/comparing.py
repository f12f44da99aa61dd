"""Every method side by side: how well the laws predict held-out runs, and what mixture each method would train.

A proposed mixture is judged by one reference law, fitted to all runs at hand, those of the held-out table
included: its predicted mean loss, and the regret, that loss less the least of all proposals. That is a
prediction and favours the laws that resemble the reference; the table says which one it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasks.mixture.found_weights import runs_of
from tasks.mixture.laws import LAWS_BY_NAME
from tasks.mixture.laws.fitted_law import FittedLaw, fit_law
from tasks.mixture.laws.law_fit import losses_of, no_scores, score_runs
from tasks.mixture.laws.run_table import RunTable
from tasks.mixture.methods import METHODS, METHODS_BY_NAME
from tasks.mixture.mixture import Mixture
from tasks.mixture.mixture_method import Found, Question

REFERENCE = "diminishing+gp"
EQUAL_TOKENS = BUDGET_WITHOUT_TOKENS = 10**9


@dataclass(frozen=True)
class Plan:
    """The tokens to be trained on. sizes: tokens a source holds; known: whether they were given."""

    sizes: dict[str, int]
    budget: int
    epoch_cap: float
    known: bool


def planned_budget(
    sources: Sequence[str], tokens: Mapping[str, int] | None, budget: int | None, epoch_cap: float | None
) -> Plan:
    """What was asked; without token counts, no cap. ValueError for a budget or cap without counts, or the reverse."""
    if tokens is None:
        if budget is not None or epoch_cap is not None:
            raise ValueError(
                f"--budget {budget} --cap {epoch_cap}: need --tokens; without counts nothing can be capped"
            )
        return Plan(dict.fromkeys(sources, EQUAL_TOKENS), BUDGET_WITHOUT_TOKENS, math.inf, False)
    if budget is None:
        raise ValueError("--tokens without --budget: both are needed to know how often a source is repeated")
    return Plan(dict(tokens), budget, 4.0 if epoch_cap is None else epoch_cap, True)


def compare(
    runs: RunTable,
    others: RunTable | None = None,
    plan: Plan | None = None,
    utility: pd.DataFrame | None = None,
    mixtures: pd.DataFrame | None = None,
    laws: Sequence[str] = (),
    reference: str = REFERENCE,
    pull: float = 0.05,
) -> dict[str, Any]:
    """JSON-ready: `methods` (one entry each), `reference`, `capped`, `notes`, `losses`, `sources`.

    laws: which; empty: all (fusion where `utility` is given). mixtures: names x sources, taken as they are.
    An entry holds method, title, kind (law or mixture), seconds, of laws the scores on `others`, and of each
    proposal weights, effective_sources, breaks_cap (sources), predicted (each loss and mean) and regret.
    """
    sources = list(map(str, runs.weights.columns))
    plan = plan or planned_budget(sources, None, None, None)
    chosen = _chosen_laws(laws, utility is not None)
    everything = _together(runs, others)
    judge = fit_law(everything.weights, losses_of(everything), reference)
    entries, proposals = [], {}
    for method in _ruled(plan, utility):
        began = time.perf_counter()
        mixture = _solved(method, plan, utility, runs)
        entries.append({**_entry(method, "mixture"), "seconds": time.perf_counter() - began})
        proposals[method] = mixture.weights
    for name, weights in _named(mixtures, judge):
        entries.append({**_entry(name, "mixture"), "seconds": None})
        proposals[name] = weights
    for law in chosen:
        began = time.perf_counter()
        fitted = fit_law(runs.weights, losses_of(runs), law, utility=utility if law == "fusion" else None)
        seconds = time.perf_counter() - began
        scores = score_runs(fitted, others) if others is not None else no_scores()
        proposal = _propose(fitted, plan, pull)
        entries.append({**_entry(law, "law"), **scores, "seconds": seconds})
        proposals[law] = proposal.weights
    predicted = judge.predict(pd.DataFrame(proposals).T)
    lowest = float(predicted.mean(axis=1).min())
    for entry in entries:
        entry |= _judged(proposals[entry["method"]], predicted.loc[entry["method"]], lowest, plan)
    return {
        "reference": {"law": reference, "runs": len(everything.weights)},
        "capped": plan.known,
        "budget": plan.budget if plan.known else None,
        "epoch_cap": plan.epoch_cap if plan.known else None,
        "pull": pull,
        "held_out": None if others is None or others.losses is None else len(others.weights),
        "notes": _notes(plan, utility, reference, len(everything.weights)),
        "losses": list(judge.losses),
        "sources": sources,
        "methods": entries,
    }


def _chosen_laws(laws: Sequence[str], with_utility: bool) -> list[str]:
    unknown = sorted(set(laws) - set(LAWS_BY_NAME))
    if unknown:
        raise ValueError(f"--laws {unknown}: must be some of {', '.join(LAWS_BY_NAME)}")
    if "fusion" in laws and not with_utility:
        raise ValueError("--laws fusion: needs --utility, a table known before any run")
    return list(laws) or [law for law in LAWS_BY_NAME if law != "fusion" or with_utility]


def _together(runs: RunTable, others: RunTable | None) -> RunTable:
    """All runs whose losses are known, in one table; of the losses, those that all have."""
    losses = losses_of(runs)
    if others is None or others.losses is None:
        return runs
    common = [name for name in losses.columns if name in others.losses.columns]
    if not common:
        return runs
    weights = pd.concat([runs.weights, others.weights[runs.weights.columns]], ignore_index=True)
    both = pd.concat([losses[common], others.losses[common]], ignore_index=True)
    return RunTable(f"{runs.path} and {others.path}", weights, both)


def _ruled(plan: Plan, utility: pd.DataFrame | None) -> list[str]:
    """The methods that choose a mixture from what is given: tokens, where known, a utility table, and the runs."""
    known = {"none"} if utility is None else {"none", "utility"}
    able = [m for m in METHODS if (m.evidence in known or m.reads_runs) and not m.needs_settings]
    chosen = [m for m in able if plan.known or not m.needs_sizes]
    return [method.name for method in sorted(chosen, key=lambda method: method.evidence)]


def _solved(name: str, plan: Plan, utility: pd.DataFrame | None, runs: RunTable) -> Mixture:
    method = METHODS_BY_NAME[name]
    settings = method.configured().model_copy(update={"epoch_cap": plan.epoch_cap})
    found = Found()
    if method.reads_runs:
        found = Found(runs=runs_of(runs.weights, losses_of(runs)))
    return method.solve(settings, Question(plan.sizes, plan.budget, utility, found=found))


def _propose(law: FittedLaw, plan: Plan, pull: float) -> Mixture:
    prior = "proportional" if plan.known else "uniform"
    return law.propose(plan.budget, plan.sizes, plan.epoch_cap, pull=pull, prior=prior)


def _named(mixtures: pd.DataFrame | None, judge: FittedLaw) -> list[tuple[str, dict[str, float]]]:
    if mixtures is None:
        return []
    taken = sorted({*LAWS_BY_NAME, *METHODS_BY_NAME} & set(mixtures.index))
    if taken:
        raise ValueError(f"--weights: mixtures {taken} have the name of a method; another name is needed")
    unknown = sorted(set(mixtures.columns) ^ set(judge.sources))
    if unknown:
        raise ValueError(
            f"--weights: sources {unknown} stand only there or only in the runs, which have {sorted(judge.sources)}"
        )
    told = mixtures[list(judge.sources)].to_dict(orient="index")
    return [(str(name), {str(s): float(w) for s, w in weights.items()}) for name, weights in told.items()]


def _entry(method: str, kind: str) -> dict[str, Any]:
    named = {**METHODS_BY_NAME, **LAWS_BY_NAME}
    return {"method": method, "title": named[method].title if method in named else method, "kind": kind}


def _judged(weights: dict[str, float], predicted: pd.Series, lowest: float, plan: Plan) -> dict[str, Any]:
    """breaks_cap: a weight found elsewhere is not moved, but it is said where it repeats a source too often."""
    over = [
        name
        for name, weight in weights.items()
        if weight * plan.budget > plan.epoch_cap * plan.sizes[name] * (1 + 1e-9)
    ]
    mean = float(predicted.mean())
    return {
        "weights": {name: float(weight) for name, weight in weights.items()},
        "effective_sources": 1 / sum(weight**2 for weight in weights.values()),
        "breaks_cap": over,
        "predicted": {**{str(name): float(value) for name, value in predicted.items()}, "mean": mean},
        "proposal_regret": mean - lowest,
    }


def _notes(plan: Plan, utility: pd.DataFrame | None, reference: str, num_runs: int) -> list[str]:
    notes = [
        f"proposals are judged by {reference} fitted to all {num_runs} runs at hand, held-out ones included: "
        "a prediction, kind to laws like it"
    ]
    if not plan.known:
        notes.append(
            "no token counts given: no epoch cap, proposals drawn towards uniform; proportional, UniMax and OLMo need "
            "counts"
        )
    if utility is None:
        notes.append("no utility table given: UtiliMax and fusion need one")
    return notes
