"""Speed-up of mixtures of experts over dense models, with a band, inside what both reach (arXiv 2112.10684, section 4).

    s(t) = c_dense(t) / c_moe(t),    c(t) the least compute at which a family's mean score is t,

on straight lines in log compute between runs. Outside the scores that both families reach there is no s(t): it is
refused, not extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """Runs of one family: flops (rungs,) ascending, scores (rungs, seeds), lower is better."""

    flops: Array
    scores: Array

    def means(self) -> Array:
        return np.asarray(self.scores.mean(axis=1))

    def drawn(self, generator: np.random.Generator) -> Family:
        """The same with the seeds of every rung drawn anew, with replacement."""
        rungs, seeds = self.scores.shape
        picks = generator.integers(seeds, size=(rungs, seeds))
        return Family(self.flops, np.take_along_axis(self.scores, picks, axis=1))


@dataclass(frozen=True)
class Speedup:
    """s at one level, and the compute of both there. low, high: band over seeds; None where it is refused."""

    level: float
    dense_flops: float
    moe_flops: float
    low: float | None
    high: float | None

    @property
    def value(self) -> float:
        return self.dense_flops / self.moe_flops


def compute_to_reach(flops: Array, scores: Array, level: float) -> float:
    """The least compute at which scores (lower is better) reach `level`, linear in log compute between runs.

    flops ascend. Raises ValueError where no run is as good, or the first run is better already.
    """
    if not scores.min() <= level <= scores[0]:
        raise ValueError(
            f"level {level:.6g} is outside of {scores.min():.6g} to {scores[0]:.6g}, which the runs reach; allowed: a "
            "level inside, since nothing is extrapolated"
        )
    for place in range(1, len(scores)):
        if scores[place] <= level:
            before, after = scores[place - 1], scores[place]
            part = (before - level) / (before - after) if before > after else 0.0
            return math.exp(math.log(flops[place - 1]) + part * math.log(flops[place] / flops[place - 1]))
    return float(flops[0])


def overlap(dense: Family, moe: Family) -> tuple[float, float] | None:
    """(easiest, hardest) level that both reach and neither has from the start; None where there is none."""
    first, second = dense.means(), moe.means()
    easiest, hardest = min(first[0], second[0]), max(first.min(), second.min())
    return (float(easiest), float(hardest)) if hardest < easiest else None


def speedups(dense: Family, moe: Family, levels: int, resamples: int, random_seed: int = 0) -> list[Speedup]:
    """s(t) at so many levels evenly inside the overlap, the easiest first; empty without one.

    The ends are left out: half of all resamples do not reach them. The band is over seeds alone, and needs two of
    them. It is refused where a level lies outside the overlap in more than 5% of the resamples: there the runs do not
    tell.
    """
    ends = overlap(dense, moe)
    if ends is None:
        return []
    easiest, hardest = ends
    places = [easiest + (place + 1) / (levels + 1) * (hardest - easiest) for place in range(levels)]
    generator = np.random.default_rng(random_seed)
    drawn = [(dense.drawn(generator), moe.drawn(generator)) for _ in range(resamples)]
    found = []
    for level in places:
        low, high = _band(drawn, level) if dense.scores.shape[1] > 1 else (None, None)
        reached = [compute_to_reach(family.flops, family.means(), level) for family in (dense, moe)]
        found.append(Speedup(level, reached[0], reached[1], low, high))
    return found


def _band(drawn: Sequence[tuple[Family, Family]], level: float) -> tuple[float | None, float | None]:
    values = []
    for dense, moe in drawn:
        try:
            reached = [compute_to_reach(family.flops, family.means(), level) for family in (dense, moe)]
        except ValueError:
            continue
        values.append(reached[0] / reached[1])
    if len(values) < CONFIDENCE * len(drawn):
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
