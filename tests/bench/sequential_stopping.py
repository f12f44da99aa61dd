"""Simulated benchmarks asked until it is enough: how many items that takes, and how often the truth is missed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tasks.evaluation.stopping import CONFIDENCE, About, AskedItems

RUNS = 60
LOOKS = 40
SIZES = (1_000, 10_000)
HALF_WIDTHS = (0.03, 0.02)
DIFFERENCES = (0.1, 0.05, 0.02, 0.0)
ACCURACY, APART = 0.4, 0.3  # of a model; share of the items on which two models differ in what is right


def measure() -> Iterator[str]:
    """Forty looks, at like distances; a miss is a truth outside the interval at any look until asking ends."""
    yield f"{RUNS} simulated benchmarks a row, at most {LOOKS} looks, {CONFIDENCE:.0%} at all together"
    yield f"{'wanted':<34}{'about':<12}{'of':>8}{'items: median':>15}{'least':>8}{'most':>8}{'missed':>8}"
    for about in ("benchmark", "population"):
        for size in SIZES:
            for half_width in HALF_WIDTHS:
                yield _row(f"a score of {ACCURACY:g} to ±{half_width:g}", about, size, half_width, None)
            for gain in DIFFERENCES:
                yield _row(f"a decision, {gain:+g} in truth", about, size, None, gain)


def _row(wanted: str, about: About, size: int, half_width: float | None, gain: float | None) -> str:
    generator = np.random.default_rng(0)
    asked, missed = [], 0
    for _ in range(RUNS):
        count, is_missed = _asked(generator, about, size, half_width, gain)
        asked.append(count)
        missed += is_missed
    told = f"{np.median(asked):>15,.0f}{min(asked):>8,}{max(asked):>8,}{missed:>8}"
    return f"{wanted:<34}{about:<12}{size:>8,}{told}"


def _asked(
    generator: np.random.Generator, about: About, size: int, half_width: float | None, gain: float | None
) -> tuple[int, bool]:
    first, second = _right(generator, size, gain or 0.0)
    truth = first.mean() if gain is None else first.mean() - second.mean()
    if about == "population":
        truth = ACCURACY if gain is None else gain
    missed = False
    for count in range(size // LOOKS, size + 1, size // LOOKS):
        one, other = (
            AskedItems(right[:count], size, about, (half_width,))
            if half_width
            else AskedItems(right[:count], size, about)
            for right in (first, second)
        )
        low, high = one.interval() if gain is None else one.lead(other)
        missed = missed or not low - 1e-9 <= truth <= high + 1e-9
        is_enough = (high - low) / 2 <= half_width if half_width else low > 0 or high < 0
        if is_enough:
            break
    return count, missed


def _right(generator: np.random.Generator, size: int, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether each of two models is right on each item, in the order in which they are asked."""
    draw = generator.random(size)
    only_first, only_second = (APART + gain) / 2, (APART - gain) / 2
    both = ACCURACY - only_first
    first = draw < both + only_first
    second = (draw < both) | ((draw >= both + only_first) & (draw < both + APART))
    assert both >= 0 and only_second >= 0
    return first.astype(float), second.astype(float)
