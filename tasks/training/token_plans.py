"""Token budgets: what a source can still give under the epoch cap, and whole tokens that add up.

Epochs count along the lineage (seed, expert, stitch layers): a source of |D_i| tokens, of which `used` went
to earlier stages, can still give floor(cap * |D_i|) - used tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DIGITS = 6


def check_sizes(tokens: Mapping[str, int]) -> dict[str, int]:
    """Tokens by source as ints, sorted by name; ValueError naming the source whose count is not above 0."""
    if not tokens:
        raise ValueError("tokens: empty; a mixture needs at least one source")
    wrong = {name: size for name, size in tokens.items() if not (math.isfinite(size) and size >= 1)}
    if wrong:
        raise ValueError(f"tokens={wrong}: every source needs at least one token")
    return {name: int(tokens[name]) for name in sorted(tokens)}


def check_budget(budget: int) -> int:
    """The budget as int; ValueError unless it is a whole number above 0."""
    if not (math.isfinite(budget) and budget > 0 and budget == int(budget)):
        raise ValueError(f"budget={budget}: must be a whole number of tokens above 0")
    return int(budget)


def check_cap(epoch_cap: float) -> float:
    """The cap; ValueError unless it is above 0 (math.inf: none)."""
    if not epoch_cap > 0:
        raise ValueError(f"epoch_cap={epoch_cap}: must be above 0")
    return float(epoch_cap)


def capacity(
    tokens: Mapping[str, int], budget: int, epoch_cap: float, used: Mapping[str, float] | None = None
) -> dict[str, int]:
    """Whole tokens that each source can still give to this stage, at most the budget.

    Raises ValueError, naming the largest feasible budget and the smallest feasible cap, where they fall
    short.
    """
    used = used or {}
    check_names("used", used, tokens, all_needed=False)
    limit = _limits(tokens, epoch_cap, used)
    largest = sum(limit.values())
    if largest < budget:
        spent = sum(math.ceil(n) for n in used.values())
        lineage = f", of which earlier stages used {spent:,}" if spent else ""
        cap = smallest_cap(tokens, budget, used)
        raise ValueError(
            f"budget={budget:,} with epoch_cap={epoch_cap:g}: the sources hold {sum(tokens.values()):,} "
            f"tokens, so {math.floor(epoch_cap * sum(tokens.values())):,} at most under the cap{lineage}; "
            f"the largest feasible budget is {largest:,}, and "
            f"the smallest epoch_cap that allows {budget:,} is {cap:.{DIGITS}g}"
        )
    return dict(zip(limit, np.minimum(_array(limit, limit), budget).astype(np.int64).tolist(), strict=True))


def largest_budget(tokens: Mapping[str, int], epoch_cap: float) -> float:
    """Tokens that the sources can give under the cap, whole ones of each; inf without a cap."""
    return sum(_limits(tokens, epoch_cap, {}).values())


def smallest_cap(tokens: Mapping[str, int], budget: int, used: Mapping[str, float] | None = None) -> float:
    """Smallest epoch cap, rounded up to six digits, under which the sources can give the budget."""
    used = used or {}
    low, high = 0.0, 1.0
    while sum(_limits(tokens, high, used).values()) < budget:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if sum(_limits(tokens, middle, used).values()) < budget:
            low = middle
        else:
            high = middle
    step = 10.0 ** (math.floor(math.log10(high)) - DIGITS + 1)
    return float(f"{math.ceil(high / step) * step:.{DIGITS}g}")


def _limits(tokens: Mapping[str, int], epoch_cap: float, used: Mapping[str, float]) -> dict[str, float]:
    if math.isinf(epoch_cap):
        return dict.fromkeys(tokens, math.inf)
    sizes = np.fromiter(tokens.values(), float, len(tokens))
    spent = np.array([used.get(name, 0.0) for name in tokens]) if used else 0.0
    left = np.maximum(np.floor(epoch_cap * sizes) - np.ceil(spent), 0)
    return dict(zip(tokens, map(int, left.tolist()), strict=True))


def upper_bounds(tokens: Mapping[str, int], limit: Mapping[str, int], budget: int) -> Array:
    """The largest weight of each source, in the order of `tokens`."""
    return np.minimum(_array(limit, tokens) / budget, 1.0)


def whole_tokens(weights: Mapping[str, float], budget: int, limit: Mapping[str, int]) -> dict[str, int]:
    """Tokens by source: weight * budget by largest remainder, never above `limit`, with the budget as sum.

    limit sums to at least the budget. Equal remainders are served in the order of names.
    """
    names = list(weights)
    w, most = _array(weights, names), _array(limit, names).astype(np.int64)
    wanted = w * budget
    plan = np.minimum(np.floor(wanted).astype(np.int64), most)
    ranks = (
        np.arange(len(names)) if names == sorted(names) else np.argsort(np.argsort(np.array(names, object)))
    )
    by_remainder = np.lexsort((ranks, plan - wanted))
    left = budget - int(plan.sum())
    while left > 0:
        has_room = by_remainder[(plan < most)[by_remainder]]
        served = has_room[w[has_room] > 0]
        served = served if len(served) else has_room
        share, served = max(left // len(served), 1), served[:left]
        given = np.minimum(share, (most - plan)[served])
        plan[served] += given
        left -= int(given.sum())
    for place in by_remainder[::-1] if left < 0 else ():  # where the weights sum to a rounding error above 1
        taken = min(int(plan[place]), -left)
        plan[place] -= taken
        left += taken
    return dict(zip(names, plan.tolist(), strict=True))


def _array(values: Mapping[str, float], names: Iterable[str]) -> Array:
    return np.array([values[name] for name in names], dtype=float)


def check_names(
    what: str, given: Mapping[str, object], sources: Mapping[str, object], all_needed: bool = True
) -> None:
    """ValueError naming the sources that `given` lacks, and its names that are no source."""
    unknown = sorted(set(given) - set(sources))
    missing = sorted(set(sources) - set(given)) if all_needed else []
    if unknown or missing:
        raise ValueError(
            f"{what}: names do not match the sources: missing {missing}, unknown {unknown}; "
            f"the sources are {sorted(sources)}"
        )
