"""An interval for a mean that may be looked at after every item: it covers at all looks together, not at each alone.

Betting, as in Waudby-Smith & Ramdas (2020, arXiv 2010.09686, sections 4 and 5). Items x_1, x_2, ... in [0, 1] come in
random order. Against every mean m two fortunes are bet, that the mean is higher and that it is lower,

    K+-_t(m) = mean_g prod_i (1 +- l+-_i (x_i - m_i)),   l+_i = min(g r_i / s2_{i-1}, c / m_i),
                                                         l-_i = min(g r_i / s2_{i-1}, c / (1 - m_i)),

s2 the variance of the items before, c = 3/4. At the true m neither can be expected to grow, whatever the bets, so by
Ville's inequality the chance that one of them ever reaches 2 / alpha is at most alpha; every m against which one has is
left out. Bets of g / s2 grow fastest against an m that is g away: for a wanted half-width g is that width; where none
is wanted the money is spread over several g. With items like these without end m_i = m and r_i = 1. Drawn without
replacement from N, whose mean is asked for, m_i is the mean of those still to come,
(N m - x_1 - ... - x_{i-1}) / (N - i + 1), r_i = N / (N - i + 1), and what the items seen make impossible is left out
too: once all are seen the interval is a point.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LARGEST_BET = 0.75  # c: so that one item cannot take all
EXACT = 1e-5  # ends lie at most so far outside
MARGINS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)


def running_interval(
    values: ArrayLike,
    confidence: float = 0.95,
    population: int | None = None,
    margins: Sequence[float] = MARGINS,
) -> tuple[float, float]:
    """(low, high) after these values, each in [0, 1], in the order in which they came; never wider than before.

    population: how many items there are in all, of whose mean the interval is; None: of the mean that the values are
    drawn from. margins: g, chosen before any value is seen. Raises ValueError for a value outside [0, 1] and for more
    values than there are items.
    """
    x = np.asarray(values, float)
    if not np.all((x >= 0) & (x <= 1)):
        raise ValueError("values lie outside [0, 1]; allowed: bounded ones, rescaled")
    if population is not None and len(x) > population:
        raise ValueError(f"{len(x)} values of {population} items; allowed: each item once")
    lowest, highest = 0.0, 1.0
    if population is not None:
        lowest = float(x.sum()) / population
        highest = lowest + (population - len(x)) / population
    if not len(x) or highest - lowest <= EXACT:
        return lowest, highest
    needed = 2 / (1 - confidence)
    bets = _bets(x, population, margins)
    low = _end(x, bets, needed, population, (lowest, highest))
    high = 1 - _end(1 - x, bets, needed, population, (1 - highest, 1 - lowest))
    # Both may have left out everything, with a chance of at most alpha in all; what is certain then remains.
    return (low, high) if low <= high else (lowest, highest)


def running_difference(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95, population: int | None = None
) -> tuple[float, float]:
    """The same of the mean of first - second, item by item, each in [0, 1]."""
    halves = (1 + np.asarray(first, float) - np.asarray(second, float)) / 2
    low, high = running_interval(halves, confidence, population)
    return 2 * low - 1, 2 * high - 1


def _bets(x: Array, population: int | None, margins: Sequence[float]) -> Array:
    """g r_i / s2_{i-1}, a row for each g: the variance starts as if one item of 1/4 had been seen."""
    counts = np.arange(1, len(x) + 1)
    means = (0.5 + x.cumsum()) / (counts + 1)
    variances = (0.25 + np.square(x - means).cumsum()) / (counts + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    pull = 1.0 if population is None else population / (population - counts + 1)
    return np.asarray(margins, float)[:, None] * pull / before


def _end(
    x: Array, bets: Array, needed: float, population: int | None, possible: tuple[float, float]
) -> float:
    """The lower end: what lies below was bet against with success. Fortunes fall as m rises, so halving finds it."""
    before = np.concatenate([[0.0], x[:-1].cumsum()])
    left = None if population is None else population - np.arange(len(x))

    def is_out(m: float) -> bool:
        means = np.full(len(x), m) if left is None or population is None else (population * m - before) / left
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            most = np.where(means > 0, LARGEST_BET / means, np.inf)
            fortunes = (1 + np.minimum(bets, most) * (x - means)).cumprod(axis=1)  # no factor is below 1 - c
            return bool(fortunes.mean(axis=0).max() >= needed)

    low, high = possible
    if not is_out(low):
        return low
    if is_out(high):
        return high
    while high - low > EXACT:
        middle = (low + high) / 2
        low, high = (middle, high) if is_out(middle) else (low, middle)
    return low
