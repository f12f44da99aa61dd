"""Losses of mixtures with diminishing returns, as draws from what is believed of them.

    L_j(w) = E_j + ( sum_i k_ij w_i^b_j )^-a_j,    k_ij = (v_ij - E_j)^(-1 / a_j),    0 < b_j <= 1

v_ij is the loss on task j of a model trained on source i alone, E_j what no data removes, a_j how fast data helps
(a power law in data, Hoffmann et al. 2022, arXiv 2203.15556), b_j how much a source's first tokens teach more than
its last. L is convex in w, so what a mixture gains over another is concave, and so is the mean of the worst of many
such gains. Below a thousandth of the mixture, finer than any table of runs tells, w^b goes on as a straight line
would that leaves 0 with a finite slope.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasks.mixture.solver.capped_simplex import Array

Draws = NDArray[np.float64]
FINEST = 1e-3


@dataclass(frozen=True)
class Curves:
    """M draws of the curves of d sources for T tasks.

    reducible: log(v - E), (M, d, T). exponent, curvature: a and b, (M, T). floor: E (M, T). worth: (T,), what a unit
    of each task's loss counts in the mean. measured: whether losses were: of utilities alone their range is not known,
    and the draws of a wide one would decide a mean.
    """

    reducible: Draws
    exponent: Array
    curvature: Array
    floor: Array
    worth: Array
    measured: bool = True

    @property
    def log_usefulness(self) -> Draws:
        """log k, (M, d, T)."""
        return -self.reducible / self.exponent[:, None, :]

    @property
    def usefulness(self) -> Draws:
        """k over the most useful source's, (M, d, T)."""
        logs = self.log_usefulness
        return np.exp(logs - logs.max(axis=1, keepdims=True))

    def some(self, chosen: NDArray[np.intp]) -> Curves:
        """These draws alone."""
        return replace(
            self,
            reducible=self.reducible[chosen],
            exponent=self.exponent[chosen],
            curvature=self.curvature[chosen],
            floor=self.floor[chosen],
        )


def powered(shares: Array, curvature: Array) -> tuple[Array, Array]:
    """w^b and its slope by w, 1 at w = 1; shapes broadcast."""
    moved = shares + FINEST
    raised, lowest = moved**curvature, FINEST**curvature
    whole = (1 + FINEST) ** curvature - lowest
    return (raised - lowest) / whole, curvature * raised / moved / whole


class Gains:
    """What mixtures gain over a reference (d,), draw by draw, in units of the mean loss of the tasks."""

    def __init__(self, curves: Curves, reference: Array) -> None:
        top = curves.log_usefulness.max(axis=1)
        self._usefulness = curves.usefulness
        self._exponent = curves.exponent
        alike = np.ptp(curves.curvature, axis=1).max() == 0
        self._curvature = (curves.curvature[:, :1] if alike else curves.curvature)[:, None, :]
        self._worth = curves.worth * np.exp(-curves.exponent * top)
        self._base = self._losses(reference)[0]
        self.scale = float((self._base * self._worth).sum(axis=1).mean())
        floors = float((curves.floor * curves.worth).sum(axis=1).mean())
        self.reference_loss = floors + self.scale

    def __len__(self) -> int:
        return len(self._exponent)

    @property
    def cells(self) -> int:
        """Numbers that one look at a mixture takes: draws x sources x tasks."""
        return self._usefulness.size

    def _losses(self, w: Array) -> tuple[Array, Array, Array]:
        value, slope = powered(w[None, :, None], self._curvature)
        total = (self._usefulness * value).sum(axis=1)
        return total**-self._exponent, total, slope

    def at(self, w: Array) -> tuple[Array, Array]:
        """Gains (M,) of mixture w (d,), and their gradients (M, d)."""
        losses, total, slope = self._losses(w)
        gains = ((self._base - losses) * self._worth).sum(axis=1)
        steepness = self._worth * self._exponent * losses / total
        if slope.shape[2] == 1:
            return gains, np.einsum("mit,mt->mi", self._usefulness, steepness) * slope[:, :, 0]
        return gains, np.einsum("mit,mt,mit->mi", self._usefulness, steepness, slope)
