"""Semismooth Newton on the dual of the mixture problem, which has one variable a task instead of one a source.

    maximise   D(v) = sum(v) + min_w [ risk * ||w||^2 - (Uv)'w ]     over  ||v||_2 <= 1

w(v), the projection of Uv / (2 risk) on the capped simplex, is piecewise linear in v, so D has the gradient
r = 1 - U'w(v) and, with A the sources strictly inside their bounds and C taking out the mean over A, the
generalised Hessian -H, H = U_A' C U_A / (2 risk). A step maximises the quadratic model over the whole ball,

    (H + tau I) s = r + H v     with  ||s|| = 1  and  tau >= 0,     or  tau = 0  and  ||s|| <= 1,

and is shortened until D rises. At v the gap between objective and bound is ||r|| - v'r, so the stopping rule
is the certificate itself. A step costs O(d T) for products with U and O(|A| T^2 + T^3) for the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs

from tasks.mixture.capped_simplex import Array, project_from

MAX_STEPS = 60
LADDER_FROM, LADDER_FACTOR, ROUGHLY = 1.0, 10 ** (1 / 3), 1e-5
MAX_SHORTENINGS, LONGER = 40, 8.0
SUFFICIENT = 1e-4
SECULAR_STEPS = 60
SECULAR_TOLERANCE = 1e-9
LAST_DIGITS = 4e-16
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Point:
    """Directions v (T,), the weights w (d,) that answer them, rest r = 1 - U'w.

    free (d,): the sources strictly inside their bounds; full: the weight of those at theirs.
    """

    v: Array
    w: Array
    rest: Array
    free: NDArray[np.bool_]
    full: float
    bound: float
    gap: float


def maximise(utility: Array, upper: Array, risk: float, enough: float) -> tuple[Point, int]:
    """The best point found and the steps taken; stops at a gap of `enough` times the objective, or where stuck.

    utility (d, T) in [0, 1]; risk above 0. Below a risk of 1 the pieces of w(v) become so short that steps from
    afar are short, too: larger risks are solved first, roughly, each from the point of the one before. The
    caller looks at the gap: nothing is promised of it.
    """
    start = 1 - upper / upper.sum() @ utility
    v = start / max(float(np.linalg.norm(start)), 1e-300)
    larger, taken = LADDER_FROM, 0
    near: Point | None = None
    while larger > LADDER_FACTOR**0.5 * risk:
        near, steps = _climb(utility, upper, larger, v, near, ROUGHLY)
        v, taken, larger = near.v, taken + steps, larger / LADDER_FACTOR
    at, steps = _climb(utility, upper, risk, v, near, enough)
    return at, taken + steps


def _climb(
    utility: Array, upper: Array, risk: float, v: Array, near: Point | None, enough: float
) -> tuple[Point, int]:
    at, length = _point(utility, upper, risk, v, near), 1.0
    for step in range(MAX_STEPS):
        if at.gap <= enough * (at.bound + at.gap):
            return at, step
        target = _model_maximum(_curvature(utility, risk, at.free), at)
        after, length = _nearer(utility, upper, risk, at, target, min(LONGER * length, 1.0))
        if after is None:
            return at, step + 1
        at = after
    return at, MAX_STEPS


def _point(utility: Array, upper: Array, risk: float, v: Array, near: Point | None) -> Point:
    gain = utility @ v / (2 * risk)
    if near is None or not near.free.any():
        shift = float(gain.mean())
    else:  # exact where the same sources are free and full as there
        shift = (float(gain[near.free].sum()) + near.full - 1) / np.count_nonzero(near.free)
    w = project_from(gain, upper, shift)
    free = (w > 0) & (w < upper)
    rest = 1 - w @ utility
    along = float(v @ rest)
    bound = along + risk * float(w @ w)
    gap = max(math.sqrt(float(rest @ rest)) - along, 0.0)
    return Point(v, w, rest, free, 1 - float(w[free].sum()), bound, gap)


def _curvature(utility: Array, risk: float, free: NDArray[np.bool_]) -> Array:
    """H (T, T), summed over pieces of the sources that fit into a cache."""
    rows = utility if free.all() else utility[free]
    curvature = np.zeros((utility.shape[1], utility.shape[1]))
    if len(rows):
        mean = rows.mean(axis=0)
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            centred = rows[begin : begin + ROWS_AT_ONCE] - mean
            curvature += centred.T @ centred
    return curvature / (2 * risk)


def _model_maximum(curvature: Array, at: Point) -> Array:
    """The maximum s of the quadratic model over the unit ball, by Newton on 1 / ||s(tau)|| = 1 in a bracket."""
    right = at.rest + curvature @ at.v
    diagonal = np.diag_indices_from(curvature)
    low, high = 0.0, float(np.linalg.norm(right))  # ||s(tau)|| <= ||right|| / tau
    smallest = 1e-15 * high
    tau = min(max(float(np.linalg.norm(at.rest)), smallest), high)
    s = right / max(high, 1e-300)
    for _ in range(SECULAR_STEPS):
        shifted = curvature.copy()
        shifted[diagonal] += tau
        factor, failed = dpotrf(shifted, lower=1, overwrite_a=1, clean=0)
        if failed:  # singular but for rounding: the ball is what bounds s
            low, tau = tau, (tau + high) / 2
            continue
        s = dpotrs(factor, right, lower=1)[0]
        length = math.sqrt(float(s @ s))
        if abs(length - 1) <= SECULAR_TOLERANCE:
            return s / length
        low, high = (tau, high) if length > 1 else (low, tau)
        if high - low <= smallest:
            break
        slope = float(s @ dpotrs(factor, s, lower=1)[0])
        following = tau + (length - 1) * length * length / slope if slope > 0 else math.inf
        tau = following if low < following < high else (low + high) / 2
    return s / max(math.sqrt(float(s @ s)), 1.0)


def _nearer(
    utility: Array, upper: Array, risk: float, at: Point, target: Array, length: float
) -> tuple[Point | None, float]:
    """The first point on the way to the target that raises the bound enough, and where on the way; None without one.

    `length` of the way is tried first. The slope along the way falls; where the bound is not raised enough, it
    is looked for where the chord of the slopes is zero.
    """
    way = target - at.v
    slope = float(at.rest @ way)
    rounding = LAST_DIGITS * max(abs(at.bound), 1.0)
    for _ in range(MAX_SHORTENINGS):
        after = _point(utility, upper, risk, at.v + length * way, at)
        if after.bound >= at.bound + SUFFICIENT * length * slope - rounding and (
            after.bound > at.bound or after.gap < at.gap
        ):
            return after, length
        end = float(after.rest @ way)
        length *= min(max(slope / (slope - end), 0.1), 0.5) if slope > end else 0.5
    return None, length
