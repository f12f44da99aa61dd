"""From curves to a mixture: as far from UniMax as they carry, little of what is of no use, what to ask next.

The gain is counted against UniMax (Chung et al. 2023, arXiv 2304.09151), which needs no evidence. Of no use is a
source that on every task is worth less than a hundredth of the best source, token by token, in 97.5% of the draws;
or whose utility for every task is below a tenth at two standard errors. It gets 1% at most, more only where the
caps of the others leave no choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.mixture.mixture import Mixture, planned
from tasks.mixture.returns.curves import Curves, Gains
from tasks.mixture.returns.lower_end import best_lower_end, bolder
from tasks.mixture.solver.capped_simplex import Array, fill
from tasks.training.token_plans import capacity, upper_bounds

USELESS_WORTH, USELESS_UTILITY, SURE = 0.01, 0.1, 0.975
MOST_OF_USELESS = 0.01
INTERVAL = (0.05, 0.95)
THIRDS = 3
MOST_ASKED = 12
ENOUGH_ASKED = 3
LEAST_WORTH = 5e-5  # of the loss; less to be learnt is not spoken of


def useless_by_utility(values: Array, errors: Array) -> NDArray[np.bool_]:
    """Which sources (d,) have next to no utility (d, T) for any task, as far as the errors tell."""
    return np.asarray((values + 2 * errors).max(axis=1) < USELESS_UTILITY)


def useless_by_curves(curves: Curves) -> NDArray[np.bool_]:
    """Which sources (d,) are next to nothing beside the best, for every task and in nearly all draws."""
    shares: Array = (curves.usefulness < USELESS_WORTH).mean(axis=0)
    return np.asarray(shares.min(axis=1) >= SURE)


def choose(
    curves: Curves | None,
    useless: NDArray[np.bool_],
    sizes: Mapping[str, int],
    budget: int,
    epoch_cap: float,
    used: Mapping[str, float],
    evidence: Sequence[str],
) -> Mixture:
    """The mixture of `budget` tokens from sources that hold `sizes` tokens, of which the lineage read `used`.

    curves: None where there is no evidence: UniMax. useless (d,): sources held to 1%. evidence: in words, for the
    certificate, which says by how much the mixture is expected to beat UniMax: `gain` (mean, low and high of 90%,
    and the mean of the worst tenth, as shares of UniMax's expected loss), `worst_share` (the share of draws in the
    worst of which the mixture is best), `gap` (what any other mixture could add there), and `ask_next`, sources by
    what it is worth to know them better, in the same unit.
    """
    limit = capacity(sizes, budget, epoch_cap, used)
    upper = upper_bounds(sizes, limit, budget)
    reference = fill(np.ones(len(sizes)), upper)
    names = list(sizes)
    facts: dict[str, Any] = {
        "method": "returns",
        "epoch_cap": None if math.isinf(epoch_cap) else epoch_cap,
        "evidence": list(evidence),
        "unimax": dict(zip(names, reference.tolist(), strict=True)),
        "useless": [name for name, is_useless in zip(names, useless, strict=True) if is_useless],
    }
    held = with_useless_held(upper, useless)
    if curves is None:
        told: dict[str, Any] = {"gain": None, "says": "no evidence: UniMax", "ask_next": []}
        return planned(fill(reference, held), sizes, budget, limit, used, facts | told)
    gains = Gains(curves, reference)
    found = best_lower_end(gains, reference, held)
    if curves.measured:
        found = bolder(gains, found, held)
    unit = gains.reference_loss
    low, high = np.quantile(found.gains, INTERVAL) / unit
    gain = {
        "mean": float(found.gains.mean() / unit),
        "low": float(low),
        "high": float(high),
        "worst_tenth": found.worst_tenth / unit,
    }
    facts |= {
        "gain": gain,
        "gap": found.gap / unit,
        "worst_share": found.share,
        "draws": len(gains),
        "says": said(gain),
        "ask_next": _worth_asking(curves, gains, found.w, reference, held, names),
    }
    return planned(found.w, sizes, budget, limit, used, facts)


def said(gain: Mapping[str, float]) -> str:
    """The gain in one sentence."""
    if gain["low"] <= 0:
        return "no better than UniMax is shown"
    return (
        f"expected to lower the mean loss by {gain['mean']:.1%} beside UniMax "
        f"(90% interval {gain['low']:.1%} to {gain['high']:.1%})"
    )


def with_useless_held(upper: Array, useless: NDArray[np.bool_]) -> Array:
    """The bounds, with the useless sources' at 1%, or as little above it as lets the bounds sum to 1."""
    if not useless.any():
        return upper
    held = np.where(useless, np.minimum(upper, MOST_OF_USELESS), upper)
    missing = 1 - float(held.sum())
    if missing > 0:
        room = np.where(useless, upper - held, 0.0)
        held = held + room * min(1.0, missing / float(room.sum()) * (1 + 1e-12))
    return held


def _worth_asking(
    curves: Curves, gains: Gains, w: Array, reference: Array, upper: Array, names: Sequence[str]
) -> list[dict[str, Any]]:
    """The sources of which it is worth most to know how useful they are: expected value of that information.

    The draws are cut into thirds by the source's mean usefulness; the best mixture of each third by its mean gain,
    on average, less the one of all draws. Only for the sources of most weight or promise.
    """
    everything = best_lower_end(gains, w, upper, share=1.0)
    before = float(everything.gains.mean())
    useful = curves.log_usefulness.mean(axis=2)
    asked = np.argsort(-useful.std(axis=0), kind="stable")[:MOST_ASKED]
    rows = []
    for i in asked:
        after = 0.0
        for third in np.array_split(np.argsort(useful[:, i], kind="stable"), THIRDS):
            part = Gains(curves.some(third), reference)
            best = best_lower_end(part, everything.w, upper, share=1.0)
            after += float(best.gains.sum())
        rows.append(
            {"source": names[i], "worth": max(after / len(gains) - before, 0.0) / gains.reference_loss}
        )
    return sorted(rows, key=lambda row: -row["worth"])[:ENOUGH_ASKED]
