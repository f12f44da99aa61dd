"""The mixture problem in numbers: what is minimised, over which mixtures, and what answers given directions.

    minimise   P(w) = || b - U'w ||_2 + sum_i risk_i w_i^2 - c'w     over  0 <= w <= upper,  sum(w) = 1

U (d, T); UtiliMax has b = 1, c = 0 and the same risk for every source. For directions v, ||v|| <= 1, the
mixture that minimises sum_i risk_i w_i^2 - (Uv + c)'w gives the bound

    D(v) = b'v + min_w [ sum_i risk_i w_i^2 - (Uv + c)'w ]  <=  min P.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.mixture.solver.capped_simplex import Array, answer, best_linear, settle


@dataclass(frozen=True)
class Problem:
    """utility (d, T), upper, risk and linear (d,), target (T,). All risks are above 0, or all are 0."""

    utility: Array
    upper: Array
    risk: Array
    target: Array
    linear: Array

    @classmethod
    def of(
        cls,
        utility: Array,
        upper: Array,
        risk: float | Array,
        target: Array | None = None,
        linear: Array | None = None,
    ) -> Problem:
        """With one risk for all sources, target 1 and linear 0 unless given."""
        d, num_tasks = utility.shape
        return cls(
            utility,
            np.minimum(upper, 1.0),
            np.broadcast_to(np.asarray(risk, float), (d,)),
            np.ones(num_tasks) if target is None else target,
            np.zeros(d) if linear is None else linear,
        )

    def of_sources(self, chosen: NDArray[np.intp]) -> Problem:
        """The same problem with the chosen sources alone, in their order."""
        return Problem(
            self.utility[chosen], self.upper[chosen], self.risk[chosen], self.target, self.linear[chosen]
        )

    def with_risk(self, risk: Array) -> Problem:
        return Problem(self.utility, self.upper, risk, self.target, self.linear)

    def rest(self, w: Array) -> Array:
        return self.target - w @ self.utility

    def gain(self, v: Array) -> Array:
        return self.utility @ v + self.linear

    def objective(self, w: Array) -> float:
        return float(np.linalg.norm(self.rest(w)) + self.risk @ (w * w) - self.linear @ w)

    def bound(self, v: Array) -> tuple[float, Array]:
        """D(v), and the mixture (d,) that it is reached at."""
        gain = self.gain(v)
        if self.risk[0] > 0:
            w = settle(answer(gain, self.risk, self.upper), self.upper)
        else:
            w = best_linear(gain, self.upper)
        return float(self.target @ v + self.risk @ (w * w) - gain @ w), w
