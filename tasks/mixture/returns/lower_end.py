"""The mixture whose gain over a reference is best in the worst tenth of what is believed, with a certificate.

    maximise   mean of the lowest share of gains g_m(w) over draws m       (conditional value at risk)
    subject to 0 <= w <= upper,  sum(w) = 1

The reference gains 0 in every draw: where the evidence is thin nothing beats it in the worst draws, and the answer
is the reference. Rockafellar and Uryasev 2000: the mean of the worst is max over weights q of the draws, 0 <= q <=
1 / (share M), sum q = 1, of the losses' q-mean; a quadratic pull of q to 1/M makes it smooth, and spectral
projected gradients (Birgin et al. 2000) solve it for three pulls, each a tenth of the one before. For every q the
q-mean of the gains is concave, so that its best linear step bounds what any mixture could reach: that is the gap.

The larger the share, the more is hoped for: at 1 it is the mean. `bolder` takes the largest share at which half of
what is sure in the worst tenth is still sure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.mixture.returns.curves import Gains
from tasks.mixture.solver.capped_simplex import Array, best_linear, project

WORST_SHARE, STAYS_SURE = 0.1, 0.5
SHARES_TRIED = 5
PULLS = (1e-2, 1e-3, 1e-4)
MOST_STEPS, FEWEST_STEPS, MOST_CELLS = 400, 100, 60_000_000
MEMORY = 8
ENOUGH = 1e-9


@dataclass(frozen=True)
class LowerEnd:
    """A mixture w (d,), the gains of all draws (M,), the mean of the worst share of them, how far it is from the best.

    gap: no mixture's mean of the worst is higher by more, in units of the gains.
    """

    w: Array
    gains: Array
    share: float
    lowest: float
    gap: float

    @property
    def worst_tenth(self) -> float:
        """The mean of the worst tenth of the gains."""
        return _lowest(self.gains, _bound(len(self.gains), WORST_SHARE))


def best_lower_end(gains: Gains, start: Array, upper: Array, share: float = WORST_SHARE) -> LowerEnd:
    """The mixture under `upper` (d,) that gains most in the worst share of draws, searched from `start`.

    share: 1 is the mean over all draws.
    """
    bound = _bound(len(gains), share)
    tried = [project(start, upper)]
    pulls = PULLS if share < 1 else PULLS[:1]  # the mean of all draws is smooth as it is
    for pull in pulls:
        tried.append(_solved(gains, tried[-1], upper, bound, pull * gains.scale))
    reachable = min(
        _reachable(gains, w, upper, bound, pull * gains.scale)
        for w, pull in zip(tried[1:], pulls, strict=True)
    )
    w = max(tried, key=lambda point: _lowest(gains.at(point)[0], bound))
    values = gains.at(w)[0]
    lowest = _lowest(values, bound)
    return LowerEnd(w, values, share, lowest, max(reachable - lowest, 0.0))


def bolder(gains: Gains, surest: LowerEnd, upper: Array) -> LowerEnd:
    """Of the mixtures best in a share of draws, from the surest's on, the one of the largest share that keeps half of
    what the surest gains in the worst tenth; the surest where nothing is sure."""
    if surest.lowest <= 0:
        return surest
    best, low, high = surest, np.log(surest.share), 0.0
    share = high
    for _ in range(SHARES_TRIED):
        found = best_lower_end(gains, best.w, upper, float(np.exp(share)))
        if found.worst_tenth >= STAYS_SURE * surest.lowest:
            best, low = found, share
        else:
            high = share
        if low == high:
            break
        share = (low + high) / 2
    return best


def _bound(num: int, share: float) -> Array:
    return np.full(num, min(1.0, 1 / (share * num)))


def _reachable(gains: Gains, w: Array, upper: Array, bound: Array, pull: float) -> float:
    """What no mixture's mean of the worst passes, from the weights of the draws at w."""
    values, slopes = gains.at(w)
    q = _weights(values, bound, pull)
    slope = q @ slopes
    return float(q @ values) + float(slope @ (best_linear(slope, upper) - w))


def _lowest(values: Array, bound: Array) -> float:
    """The mean of the worst of values (M,)."""
    return float(best_linear(-values, bound) @ values)


def _weights(values: Array, bound: Array, pull: float) -> Array:
    """The weights q (M,) of the draws: the worst up to their bound, drawn to 1/M by the pull."""
    num = len(values)
    return project(1 / num - values / (pull * num), bound)


def _solved(gains: Gains, w: Array, upper: Array, bound: Array, pull: float) -> Array:
    num = len(gains)

    def smoothed(point: Array) -> tuple[float, Array]:
        values, slopes = gains.at(point)
        q = _weights(values, bound, pull)
        return -float(q @ values) - pull / 2 * num * float(((q - 1 / num) ** 2).sum()), -(q @ slopes)

    value, slope = smoothed(w)
    recent = [value]
    length = 1 / (float(np.abs(slope).max()) + 1e-300)
    for _ in range(int(np.clip(MOST_CELLS // gains.cells, FEWEST_STEPS, MOST_STEPS))):
        direction = project(w - length * slope, upper) - w
        descent = float(slope @ direction)
        if -descent <= ENOUGH * gains.scale:
            break
        step, highest = 1.0, max(recent[-MEMORY:])
        while True:
            tried = w + step * direction
            new_value, new_slope = smoothed(tried)
            if new_value <= highest + 1e-4 * step * descent or step < 1e-8:
                break
            step /= 2
        moved, turned = tried - w, new_slope - slope
        bend = float(moved @ turned)
        length = float(np.clip((moved @ moved) / bend, 1e-8, 1e8)) if bend > 1e-300 else 1e3 * length
        w, value, slope = tried, new_value, new_slope
        recent.append(value)
    return w
