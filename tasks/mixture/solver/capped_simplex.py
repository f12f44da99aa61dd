"""The set of mixtures {w : 0 <= w <= upper, sum(w) = 1}: projection, linear maximum and filling.

upper (d,) is at least 0 with sum(upper) >= 1 everywhere here. A bound above 1 is the bound 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NEWTON_STEPS = 60
ROUNDING = 2e-14  # of a sum of weights


def project(point: Array, upper: Array) -> Array:
    """The mixture nearest to point (d,)."""
    return settle(answer(point, np.full(len(point), 0.5), upper), np.minimum(upper, 1.0))


def answer(gain: Array, risk: Array, upper: Array, shift: float | None = None) -> Array:
    """What minimises sum_i risk_i w_i^2 - gain'w, but for rounding in its sum: clip((gain - tau) / (2 risk), 0, upper).

    gain and risk (d,), risk above 0. The sum falls with tau along straight pieces; Newton's method finds the piece
    inside a bracket that shrinks, from `shift` as the first tau, in a few steps of O(d); the sorted kinks do,
    in O(d log d), where it does not.
    """
    upper = np.minimum(upper, 1.0)
    steepness = 0.5 / risk
    top = float(gain.max())
    gain = gain - top  # what has weight lies near the top: fewer digits are lost
    tau = float(gain.mean()) if shift is None else min(shift - top, 0.0)
    low, high = -np.inf, np.inf
    for _ in range(NEWTON_STEPS):
        w = gain - tau
        w *= steepness
        np.maximum(w, 0.0, out=w)
        np.minimum(w, upper, out=w)
        excess = float(w.sum()) - 1
        if abs(excess) <= ROUNDING:
            return w
        low, high = (tau, high) if excess > 0 else (low, tau)
        slope = float(steepness @ ((w > 0) & (w < upper)))
        following = tau + excess / slope if slope > 0 else np.nan
        if not low < following < high:
            if not (np.isfinite(low) and np.isfinite(high)):
                following = 0.0 if excess > 0 else float((gain - upper / steepness).min())
            else:
                following = (low + high) / 2
        tau = following
    return _answer_by_sorting(gain, steepness, upper)


def _answer_by_sorting(gain: Array, steepness: Array, upper: Array) -> Array:
    kinks = np.concatenate([gain, gain - upper / steepness])
    order = np.argsort(-kinks, kind="stable")
    kinks = kinks[order]
    slopes = np.maximum(np.cumsum(np.concatenate([steepness, -steepness])[order]), 0.0)
    sums = np.concatenate([[0.0], np.cumsum(slopes[:-1] * -np.diff(kinks))])
    last = max(int(np.searchsorted(sums, 1.0)) - 1, 0)
    missing = max(1 - sums[last], 0.0)
    tau = kinks[last] - (missing / slopes[last] if slopes[last] > 0 else 0.0)
    return np.clip((gain - tau) * steepness, 0, upper)


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
    with np.errstate(over="ignore"):  # a weight next to nothing is never full: infinity says so
        ratio = bound / share
        order = np.argsort(ratio, kind="stable")
        full = np.concatenate([[0.0], np.cumsum(bound[order])])
        open_share = np.append(np.cumsum(share[order][::-1])[::-1], 0.0)
        # The first c at which the sources not yet full carry what the full ones leave.
        scale = (1 - full[:-1]) / open_share[:-1]
    fits = scale <= ratio[order]
    fits[-1] = True  # but for rounding, where the bounds sum to 1
    num_full = int(np.argmax(fits))
    w[wanted] = np.minimum(scale[num_full] * share, bound)
    return settle(w, upper)
