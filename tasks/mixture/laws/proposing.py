"""The mixture that a law likes best, under the exact epoch caps and not far from what it was fitted to.

    minimise   mean loss(w) / s + pull * KL(w || prior)     over  0 <= w_i <= bound_i,  sum(w) = 1

s: the spread of the mean loss over the runs, so that `pull` means the same on every table. A law alone has
its minimum in a corner where no run was: so each bound is the smaller of the epoch cap's (whole tokens) and
the largest weight of the source in any run (widened evenly, as little as it takes, where the budget cannot be
met otherwise; sources that no run had come last), and `pull` draws towards the prior.

Method: a fixed sample of mixtures inside the bounds; from the best of them, for smooth laws, sequential
quadratic programming, and for all, a search that moves weight between pairs of sources by ever smaller steps;
of more than 300 pairs, 300 are drawn anew each time. Such moves span every direction that the bounds leave
open: where none helps, a smooth law is at a local minimum, and ridge, log-linear and the plain power law,
which are convex, at the minimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.mixture.laws.predictor import robust_scale
from tasks.mixture.mixture import Mixture, planned
from tasks.mixture.solver.capped_simplex import Array, fill, project, settle
from tasks.training.token_plans import (
    capacity,
    check_budget,
    check_cap,
    check_names,
    check_sizes,
    upper_bounds,
)

if TYPE_CHECKING:
    from tasks.mixture.laws.fitted_law import FittedLaw

SAMPLE = 4096
STARTS = 2
STEPS = (0.1, 0.03, 0.01, 0.003, 0.001)
MOST_MOVES = 60
MOST_PAIRS, PATIENCE = 300, 3
DIFFERENCE = 1e-6
SMALLEST = 1e-12
METHOD = "sample of {sample}, {polish}moves between pairs of sources down to {step:g}"

Objective = Callable[[Array], Array]


def propose(
    law: FittedLaw,
    budget: int,
    tokens: Mapping[str, int],
    epoch_cap: float = 4.0,
    *,
    pull: float = 0.05,
    prior: Mapping[str, float] | str = "proportional",
    loss_weights: Mapping[str, float] | None = None,
    within_runs: bool = True,
) -> Mixture:
    """The mixture of `budget` tokens of least predicted loss. tokens: tokens that each source holds, by name.

    pull: at least 0; 0: none. prior: `proportional`, `uniform` or weights by source (a source without any
    gets none). loss_weights: weight of each loss by name in their mean; None: all alike. within_runs: bounds
    by the runs too.

    The certificate holds method, predicted (each loss and `mean`), pull, bounds_widened (1: as the runs had
    them) and beyond_runs (sources with more weight than in any run). Deterministic. Raises ValueError for
    names that do not match and budgets that the cap does not allow, naming the largest that it does.
    """
    sizes = check_sizes(tokens)
    budget, epoch_cap = check_budget(budget), check_cap(epoch_cap)
    check_names("tokens", sizes, dict.fromkeys(law.sources))
    if not (math.isfinite(pull) and pull >= 0):
        raise ValueError(f"pull={pull}: must be a finite number of at least 0")
    limit = capacity(sizes, budget, epoch_cap)
    caps = upper_bounds(sizes, limit, budget)
    # Searched in an order that depends on the runs' numbers alone: no name moves a weight.
    names = list(sizes)
    place = [names.index(name) for name in law.canonical]
    order = [law.sources.index(name) for name in law.canonical]
    caps = caps[place]
    seen = np.array([law.largest_seen[name] for name in law.canonical])
    upper, widened = bounded_by_runs(caps, seen) if within_runs else (caps, None)
    towards = _prior(prior, sizes)[place] if pull > 0 else np.zeros(len(sizes))
    emphasis = _emphasis(loss_weights, law.losses)

    def losses_of(mixtures: Array) -> Array:
        placed = np.empty_like(mixtures)
        placed[:, order] = mixtures
        return law.raw(placed)

    runs = law.runs[list(law.canonical)].to_numpy(float)
    objective = _objective(losses_of, emphasis, runs, towards, pull)
    # A source outside the prior has an infinite divergence: no weight.
    if pull > 0 and upper[towards > 0].sum() >= 1:
        upper = np.where(towards > 0, upper, 0.0)
    w = _minimise(objective, upper, runs, towards if pull > 0 else None, law.smooth)
    predicted = losses_of(w[None])[0]
    facts: dict[str, Any] = {
        "method": f"law:{law.law}",
        "epoch_cap": None if math.isinf(epoch_cap) else epoch_cap,
        "search": METHOD.format(
            sample=SAMPLE, polish="quadratic programming, " if law.smooth else "", step=STEPS[-1]
        ),
        "predicted": {
            **dict(zip(law.losses, map(float, predicted), strict=True)),
            "mean": float(predicted @ emphasis),
        },
        "pull": pull,
        "bounds_widened": widened,
        "beyond_runs": [n for n, x, top in zip(law.canonical, w, seen, strict=True) if x > top + 1e-9],
    }
    by_name = np.empty_like(w)
    by_name[place] = w
    return planned(by_name, sizes, budget, limit, {}, facts)


def bounded_by_runs(caps: Array, seen: Array) -> tuple[Array, float]:
    """The smaller of caps (d,) and seen (d,), and by what factor `seen` had to grow for them to sum to 1.

    Where the sources that were seen cannot carry the budget at all, the others carry what is left: factor
    inf.
    """
    if np.minimum(caps, seen).sum() >= 1:
        return np.minimum(caps, seen), 1.0
    known = np.where(seen > 0, caps, 0.0)
    if known.sum() < 1:
        others = np.where(seen > 0, 0.0, caps)
        return known + others * ((1 - known.sum()) / others.sum()), math.inf
    low, high = 1.0, 2.0
    while np.minimum(caps, high * seen).sum() < 1:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(caps, middle * seen).sum() < 1 else (low, middle)
    return np.minimum(caps, high * seen), high


def _prior(prior: Mapping[str, float] | str, sizes: Mapping[str, int]) -> Array:
    if isinstance(prior, str):
        if prior not in ("proportional", "uniform"):
            raise ValueError(f"prior={prior!r}: must be proportional, uniform or a weight for every source")
        values = np.array(list(sizes.values()), float) if prior == "proportional" else np.ones(len(sizes))
    else:
        check_names("prior", prior, sizes)
        values = np.array([float(prior[name]) for name in sizes])
    if not (np.isfinite(values).all() and values.min() >= 0 and values.sum() > 0):
        raise ValueError(f"prior={prior}: weights must be finite, at least 0 and not all 0")
    return values / values.sum()


def _emphasis(loss_weights: Mapping[str, float] | None, losses: tuple[str, ...]) -> Array:
    if loss_weights is None:
        return np.full(len(losses), 1 / len(losses))
    check_names("loss_weights", loss_weights, dict.fromkeys(losses))
    values = np.array([float(loss_weights[name]) for name in losses])
    if not (np.isfinite(values).all() and values.min() >= 0 and values.sum() > 0):
        raise ValueError(f"loss_weights={dict(loss_weights)}: must be finite, at least 0 and not all 0")
    return values / values.sum()


def _objective(
    losses_of: Callable[[Array], Array], emphasis: Array, runs: Array, prior: Array, pull: float
) -> Objective:
    scale = robust_scale(losses_of(runs) @ emphasis) if len(runs) else 1.0
    floor = np.log(np.maximum(prior, 1e-12))

    def value(mixtures: Array) -> Array:
        cost = losses_of(mixtures) @ emphasis / scale
        if pull > 0:
            logs = np.log(np.maximum(mixtures, 1e-300))
            cost = cost + pull * (np.where(mixtures > 0, logs - floor, 0.0) * mixtures).sum(axis=1)
        return cost

    return value


def _minimise(objective: Objective, upper: Array, runs: Array, prior: Array | None, smooth: bool) -> Array:
    sample = candidates(upper, runs, prior)
    order = np.argsort(objective(sample), kind="stable")
    best, lowest = sample[order[0]], np.inf
    for start in sample[order[: STARTS if smooth else 1]]:
        w = _programmed(objective, start, upper) if smooth else start
        w, value = _moved(objective, w, upper, STEPS[-2:] if smooth else STEPS)
        if value < lowest:
            best, lowest = w, value
    return best


def candidates(upper: Array, runs: Array, prior: Array | None) -> Array:
    """SAMPLE mixtures under the bounds (d,): around uniform, prior and runs, even and concentrated; always the same."""
    draw = np.random.default_rng(0)
    d = len(upper)
    centres = [np.full(d, 1 / d), *([prior] if prior is not None else [])]
    if len(runs):
        centres.append(runs.mean(axis=0))
    drawn = [np.array(centre) for centre in centres]
    if len(runs):
        drawn.extend(runs[draw.permutation(len(runs))[: SAMPLE // 4]])
    while len(drawn) < SAMPLE:
        centre = centres[len(drawn) % len(centres)]
        strength = (1.0, 4.0, 16.0, 64.0)[draw.integers(4)]
        drawn.append(draw.dirichlet(np.maximum(centre, 1e-3) * strength * math.sqrt(d)))
    return np.stack([_capped(w, upper) for w in drawn])


def _capped(w: Array, upper: Array) -> Array:
    """w where it keeps the bounds; else what they cut off goes to the other sources in proportion."""
    if (w <= upper).all() and abs(w.sum() - 1) < 1e-12:
        return w
    return fill(np.where(w > SMALLEST, w, 0.0), upper)


def _programmed(objective: Objective, start: Array, upper: Array) -> Array:
    from scipy.optimize import minimize

    d = len(start)
    steps = DIFFERENCE * np.eye(d)

    def value_and_slope(w: Array) -> tuple[float, Array]:
        around = np.concatenate([w[None], w + steps, np.maximum(w - steps, 0)])
        values = objective(around)
        reach = DIFFERENCE + np.minimum(w, DIFFERENCE)
        return float(values[0]), (values[1 : d + 1] - values[d + 1 :]) / reach

    found = minimize(
        value_and_slope,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, float(bound)) for bound in upper],
        constraints=[{"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(d)}],
        options={"maxiter": 60, "ftol": 1e-9},
    )
    w = project(np.clip(np.nan_to_num(found.x), 0, upper), upper)
    return w if objective(w[None])[0] < objective(start[None])[0] else start


def _moved(objective: Objective, w: Array, upper: Array, steps: Sequence[float]) -> tuple[Array, float]:
    """The best moves of weight from one source to another, while one lowers the objective."""
    value = float(objective(w[None])[0])
    d = len(w)
    giving, taking = (axis.ravel() for axis in np.meshgrid(np.arange(d), np.arange(d), indexing="ij"))
    giving, taking = giving[giving != taking], taking[giving != taking]
    draw = np.random.default_rng(0)
    for step in steps:
        failures = 0
        for _ in range(MOST_MOVES):
            some = np.arange(len(giving))
            if len(some) > MOST_PAIRS:
                some = draw.permutation(len(giving))[:MOST_PAIRS]
            moved = _moves(w, upper, giving[some], taking[some], step)
            values = objective(moved) if len(moved) else np.array([np.inf])
            best = int(np.argmin(values))
            if values[best] < value - 1e-12 * max(abs(value), 1.0):
                w, value, failures = settle(np.clip(moved[best], 0, upper), upper), float(values[best]), 0
                continue
            failures += 1
            if len(some) == len(giving) or failures == PATIENCE:
                break
    return w, value


def _moves(w: Array, upper: Array, giving: NDArray[np.intp], taking: NDArray[np.intp], step: float) -> Array:
    """The mixtures that come of moving up to `step` between each pair inside the bounds."""
    amount = np.minimum(np.minimum(step, w[giving]), upper[taking] - w[taking])
    possible = np.flatnonzero(amount > SMALLEST)
    moved = np.repeat(w[None], len(possible), axis=0)
    rows = np.arange(len(possible))
    moved[rows, giving[possible]] -= amount[possible]
    moved[rows, taking[possible]] += amount[possible]
    return moved
