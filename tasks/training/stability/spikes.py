"""Spikes of a series, by OLMo-core's rule: above the mean of the window before by so many standard deviations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NEAR = 10  # steps within which spiked ones count together


@dataclass(frozen=True)
class Past:
    """The last values of a series, at most `window` of them."""

    window: int
    values: tuple[float, ...] = ()

    def and_then(self, value: float) -> Past:
        """With a value that is no number left out: nothing can be compared with it."""
        if not math.isfinite(value):
            return self
        return Past(self.window, (*self.values, value)[-self.window :])

    def sigmas(self, value: float) -> float:
        """How many standard deviations a value lies above the mean; 0 before half of the window is there."""
        if not math.isfinite(value):
            return math.inf
        if len(self.values) < max(2, self.window // 2):
            return 0.0
        mean, deviation = self._spread()
        return (value - mean) / deviation

    def at_most(self, value: float, sigmas: float) -> float:
        """The value, or what lies so many standard deviations above the mean where it lies higher."""
        if self.sigmas(value) <= sigmas or not math.isfinite(value):
            return value
        mean, deviation = self._spread()
        return mean + sigmas * deviation

    def _spread(self) -> tuple[float, float]:
        mean = math.fsum(self.values) / len(self.values)
        variance = math.fsum((v - mean) ** 2 for v in self.values) / (len(self.values) - 1)
        return mean, max(math.sqrt(variance), 1e-12)


def spiked_steps(values: Sequence[float], window: int, sigmas: float) -> list[int]:
    """Places of a whole series that the rule flags."""
    past, found = Past(window), []
    for place, value in enumerate(values):
        if past.sigmas(value) > sigmas:
            found.append(place)
        past = past.and_then(value)
    return found
