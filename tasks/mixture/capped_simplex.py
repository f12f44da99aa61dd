"""The set of mixtures {w : 0 <= w <= upper, sum(w) = 1}: projection, linear maximum and filling.

upper (d,) is at least 0 with sum(upper) >= 1 everywhere here. A bound above 1 is the bound 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NEWTON_STEPS = 30


def project(point: Array, upper: Array) -> Array:
    """The mixture nearest to point (d,): clip(point - tau, 0, upper), with tau read off the sorted kinks."""
    upper = np.minimum(upper, 1.0)
    point = point - point.max()
    kinks = np.sort(np.concatenate([point - upper, point]))
    rising = np.sort(point - upper)
    falling = np.sort(point)
    # Between two kinks the sum falls with the number of sources strictly inside their bounds.
    inside = np.searchsorted(rising, kinks, side="right") - np.searchsorted(falling, kinks, side="right")
    sums = upper.sum() - np.concatenate([[0.0], np.cumsum(inside[:-1] * np.diff(kinks))])
    last = int(np.flatnonzero(sums >= 1)[-1]) if sums[0] >= 1 else 0
    tau = kinks[last] + (max(sums[last] - 1, 0) / inside[last] if inside[last] > 0 else 0.0)
    return settle(np.clip(point - tau, 0, upper), upper)


def project_from(point: Array, upper: Array, shift: float) -> Array:
    """`project` but for rounding in the sum, starting from a shift tau that may be near.

    Newton's method on the sum, which falls with tau along straight pieces, inside a bracket that shrinks: a few
    steps of O(d) each, where sorting the kinks takes O(d log d).
    """
    top = float(point.max())
    point = point - top  # what is positive lies near the top: fewer digits are lost
    tau, low, high = min(shift - top, 0.0), -np.inf, np.inf
    for _ in range(NEWTON_STEPS):
        w = point - tau
        np.maximum(w, 0.0, out=w)
        np.minimum(w, upper, out=w)
        excess = float(w.sum()) - 1
        if abs(excess) <= 1e-15:
            return w
        low, high = (tau, high) if excess > 0 else (low, tau)
        num_free = int(np.count_nonzero((w > 0) & (w < upper)))
        following = tau + excess / num_free if num_free else np.nan
        if not low < following < high:
            if abs(excess) <= 1e-13:
                return w
            if not (np.isfinite(low) and np.isfinite(high)):
                following = 0.0 if excess > 0 else float((point - upper).min())
            else:
                following = (low + high) / 2
        tau = following
    return project(point, upper)


def settle(w: Array, upper: Array) -> Array:
    """Takes the rounding error of sum(w) = 1 out of the sources strictly inside their bounds."""
    for _ in range(3):
        error = w.sum() - 1
        free = (w > 0) & (w < upper)
        if error == 0 or not free.any():
            break
        w = np.where(free, np.clip(w - error / free.sum(), 0, upper), w)
    return w


def best_linear(gain: Array, upper: Array) -> Array:
    """A mixture of largest gain'w: the best sources up to their bounds, then the next."""
    order = np.argsort(-gain, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(upper[order])[:-1]])
    w = np.empty_like(gain)
    w[order] = np.clip(1 - before, 0, upper[order])
    return w


def fill(weights: Array, upper: Array) -> Array:
    """min(c * weights, upper) with c chosen so that it sums to 1.

    What a bound cuts off goes to the free sources in proportion to their weights. Where all sources with a
    weight are full, the rest goes to the others in proportion to their bounds.
    """
    wanted = weights > 0
    room = upper[wanted].sum()
    w = np.where(wanted, upper, 0.0)
    if room <= 1:
        rest = upper[~wanted].sum()
        if rest > 0:
            w[~wanted] = upper[~wanted] * min((1 - room) / rest, 1.0)
        return w
    share, bound = weights[wanted], upper[wanted]
    order = np.argsort(bound / share, kind="stable")
    full = np.concatenate([[0.0], np.cumsum(bound[order])])
    open_share = np.append(np.cumsum(share[order][::-1])[::-1], 0.0)
    # The first c at which the sources not yet full carry what the full ones leave.
    scale = (1 - full[:-1]) / open_share[:-1]
    num_full = int(np.argmax(scale <= (bound / share)[order]))
    w[wanted] = np.minimum(scale[num_full] * share, bound)
    return settle(w, upper)
