"""Newton's method on the dual of the mixture problem: one variable a task.

    maximise   D(v) = b'v + min_w [ sum_i risk_i w_i^2 - (Uv + c)'w ]     over  ||v||_2 <= 1

The answering mixture w(v) is piecewise linear in v, so D has the gradient r = b - U'w(v) and, with A the
sources strictly inside their bounds and s_i = 1 / (2 risk_i), the generalised Hessian -H,

    H = sum_{i in A} s_i (u_i - m)(u_i - m)',     m = sum_{i in A} s_i u_i / sum_{i in A} s_i.

A step maximises the quadratic model over the whole ball,

    (H + tau I) x = r + H v     with  ||x|| = 1  and  tau >= 0,     or  tau = 0  and  ||x|| <= 1,

and is shortened until D rises. At v the gap between objective and bound is ||r|| - v'r, so the stopping rule
is the certificate itself. A step costs O(d T) for products with U and O(|A| T^2 + T^3) for the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs

from tasks.mixture.solver.capped_simplex import Array, answer
from tasks.mixture.solver.problem import Problem

MAX_STEPS = 60
LADDER_FROM, LADDER_FACTOR, ROUGHLY = 1.0, 10 ** (1 / 3), 1e-5
MAX_SHORTENINGS, LONGER = 40, 8.0
SUFFICIENT = 1e-4
SECULAR_STEPS = 60
SECULAR_TOLERANCE = 1e-5
LAST_DIGITS = 4e-16
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Point:
    """Directions v (T,), the gain Uv + c (d,), the weights w (d,) that answer them, the rest r = b - U'w.

    free (d,): the sources strictly inside their bounds; weighting (d,): their 1 / (2 risk), else 0, with the sum
    steepness; full: the weight of the sources at their bounds.
    """

    v: Array
    gain: Array
    w: Array
    rest: Array
    free: NDArray[np.bool_]
    weighting: Array
    steepness: float
    full: float
    bound: float
    gap: float


def maximise(problem: Problem, enough: float) -> tuple[Point, int]:
    """The best point found and the steps taken; stops at a gap of `enough` times the objective, or where stuck.

    All risks are above 0. Below a mean risk of 1 the pieces of w(v) become so short (U is in [0, 1]) that steps
    from afar are short, too: larger risks are solved first, roughly, each from the point of the one before. The
    caller looks at the gap: nothing is promised of it.
    """
    start = problem.rest(problem.upper / problem.upper.sum())
    v = start / max(float(np.linalg.norm(start)), 1e-300)
    times, taken = LADDER_FROM / float(problem.risk.mean()), 0
    near: Point | None = None
    while times > LADDER_FACTOR**0.5:
        near, steps = _climb(problem.with_risk(times * problem.risk), v, near, ROUGHLY)
        v, taken, times = near.v, taken + steps, times / LADDER_FACTOR
    at, steps = _climb(problem, v, near, enough)
    return at, taken + steps


def _climb(problem: Problem, v: Array, near: Point | None, enough: float) -> tuple[Point, int]:
    at, length = _point(problem, v, near), 1.0
    for step in range(MAX_STEPS):
        if at.gap <= enough * abs(at.bound + at.gap):
            return at, step
        target = _model_maximum(_curvature(problem, at.free), at)
        after, length = _nearer(problem, at, target, min(LONGER * length, 1.0))
        if after is None:
            return at, step + 1
        at = after
    return at, MAX_STEPS


def _point(problem: Problem, v: Array, near: Point | None) -> Point:
    gain = problem.gain(v)
    return _answered(problem, v, gain, _answer_near(problem, gain, near))


def _answer_near(problem: Problem, gain: Array, near: Point | None) -> Array:
    """The answering mixture (d,); its shift is exact at once where the same sources are free and full as there."""
    shift = None
    if near is not None and near.steepness > 0:
        shift = float((gain @ near.weighting + near.full - 1) / near.steepness)
    return answer(gain, problem.risk, problem.upper, shift)


def _answered(problem: Problem, v: Array, gain: Array, w: Array) -> Point:
    free = (w > 0) & (w < problem.upper)
    rest = problem.rest(w)
    along = float(v @ rest)
    bound = along + float(problem.risk @ (w * w)) - float(problem.linear @ w)
    gap = max(math.sqrt(float(rest @ rest)) - along, 0.0)
    weighting = np.where(free, 0.5 / problem.risk, 0.0)
    full = 1 - float(w[free].sum())
    return Point(v, gain, w, rest, free, weighting, float(weighting.sum()), full, bound, gap)


def _curvature(problem: Problem, free: NDArray[np.bool_]) -> Array:
    """H (T, T), summed over pieces of the sources that fit into a cache."""
    rows, risk = (
        (problem.utility, problem.risk) if free.all() else (problem.utility[free], problem.risk[free])
    )
    curvature = np.zeros((rows.shape[1], rows.shape[1]))
    if len(rows):
        steepness = 0.5 / risk
        mean = steepness @ rows / steepness.sum()
        root = np.sqrt(steepness)[:, None]
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(begin, begin + ROWS_AT_ONCE)
            centred = root[part] * (rows[part] - mean)
            curvature += centred.T @ centred
    return curvature


def _model_maximum(curvature: Array, at: Point) -> Array:
    """The maximum s of the quadratic model over the unit ball, by Newton on 1 / ||s(tau)|| = 1 in a bracket."""
    right = at.rest + curvature @ at.v
    low, high = 0.0, float(np.linalg.norm(right))  # ||s(tau)|| <= ||right|| / tau
    smallest = 1e-15 * high
    tau = min(max(float(np.linalg.norm(at.rest)), smallest), high)
    s = right / max(high, 1e-300)
    for _ in range(SECULAR_STEPS):
        shifted = curvature.copy()
        shifted.flat[:: len(right) + 1] += tau
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


def _nearer(problem: Problem, at: Point, target: Array, length: float) -> tuple[Point | None, float]:
    """The first point on the way to the target that raises the bound enough, and where on the way; None without one.

    `length` of the way is tried first. The slope along the way falls; where the bound is not raised enough, it
    is looked for where the chord of the slopes is zero.
    """
    way = target - at.v
    slope, gain_way = float(at.rest @ way), problem.utility @ way
    rounding = LAST_DIGITS * max(abs(at.bound), 1.0)
    target_at, target_way = float(problem.target @ at.v), float(problem.target @ way)
    for _ in range(MAX_SHORTENINGS):
        gain = at.gain + length * gain_way
        w = _answer_near(problem, gain, at)
        bound = target_at + length * target_way + float(problem.risk @ (w * w)) - float(gain @ w)
        if bound >= at.bound + SUFFICIENT * length * slope - rounding:
            v = at.v + length * way
            after = _answered(problem, v, gain, w)
            if after.bound > at.bound or after.gap < at.gap:
                return after, length
        end = target_way - float(gain_way @ w)
        length *= min(max(slope / (slope - end), 0.1), 0.5) if slope > end else 0.5
    return None, length
