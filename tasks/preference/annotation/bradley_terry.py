"""Strengths of models from pairwise outcomes with ties, for many weightings of the judgements at once.

Davidson's model (1970): with strengths s and tie parameter t, model a against b

    P(a) : P(b) : P(tie)  =  e^(s_a) : e^(s_b) : e^(t + (s_a + s_b) / 2),

fitted by penalised maximum likelihood with Newton steps, until they are nothing but rounding. The penalty is a
normal prior of deviation 10 on s, 5 on t (in log-odds), which decides nothing where there are judgements and keeps
a model that never lost finite.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, kron

Array = NDArray[np.float64]
PRIOR_DEVIATION = 10.0
TIE_DEVIATION = 5.0
ROUNDS = 1000  # a model that all but never lost is far off, and a step takes it on by 1 or 2
LONGEST_STEP = 2.0
HALVINGS = 30
EPSILON = float(np.finfo(float).eps)
SUMMED = 32  # times the rounding of one number: that of a sum
ELO = 400 / np.log(10)


def fit_strengths(pairs: NDArray[np.intp], counts: Array, models: int) -> tuple[Array, Array]:
    """pairs (P, 2): models a and b; counts (B, P, 3): wins of a, of b, ties in each of B weightings.

    Returns strengths (B, models) in log-odds with mean 0, and tie parameters (B,). Without any tie the tie parameter
    is -infinity: plain Bradley-Terry. Raises ValueError for counts that are not finite.
    """
    if not np.isfinite(counts).all():
        raise ValueError("Bradley-Terry: the counts are not finite")
    has_ties = bool(counts[:, :, 2].sum() > 0)
    theta = np.zeros((len(counts), models + has_ties))
    unsettled = np.arange(len(counts))
    posterior = _Posterior.of(pairs, counts, models, has_ties)
    for _ in range(ROUNDS):
        theta[unsettled], settled = _newton_step(posterior, theta[unsettled])
        posterior, unsettled = posterior.weighted(~settled), unsettled[~settled]
        if not len(unsettled):
            break
    else:
        raise ValueError(f"Bradley-Terry did not converge in {ROUNDS} steps")
    strengths = theta[:, :models]
    ties = theta[:, -1] if has_ties else np.full(len(counts), -np.inf)
    return strengths - strengths.mean(1, keepdims=True), ties


@dataclass(frozen=True)
class _Posterior:
    """Of B weightings at once, with O outcomes: counts (B, P, O), design (P, O, K) of their logits, prior (K,).

    Derivatives are sums over two outcomes each, in which nothing cancels where one of them is all but certain:

        gradient   sum (c_o p_u - c_u p_o) (x_o - x_u)          curvature   n sum p_o p_u (x_o - x_u) (x_o - x_u)'

    apart (P Q, K): x_o - x_u of the Q pairs of outcomes; squares (P Q, K K): their outer products.
    """

    counts: Array
    design: Array
    prior: Array
    apart: csr_array
    squares: csr_array

    @classmethod
    def of(cls, pairs: NDArray[np.intp], counts: Array, models: int, has_ties: bool) -> _Posterior:
        outcomes, size = 2 + has_ties, models + has_ties
        design = np.zeros((len(pairs), outcomes, size))
        rows = np.arange(len(pairs))
        design[rows, 0, pairs[:, 0]] = 1
        design[rows, 1, pairs[:, 1]] = 1
        prior = np.full(size, PRIOR_DEVIATION**-2)
        if has_ties:
            design[:, 2] = (design[:, 0] + design[:, 1]) / 2
            design[:, 2, -1] = 1
            prior[-1] = TIE_DEVIATION**-2
        one, other = _two_outcomes(outcomes)
        apart = csr_array((design[:, one] - design[:, other]).reshape(-1, size))
        squares = kron(apart, np.ones((1, size)), "csr") * kron(np.ones((1, size)), apart, "csr")
        return cls(counts[:, :, :outcomes], design, prior, apart, squares)

    def weighted(self, chosen: NDArray[np.bool_]) -> _Posterior:
        """Of the chosen weightings (B,) alone."""
        return replace(self, counts=self.counts[chosen])

    def logs(self, theta: Array) -> Array:
        """Logarithms of the outcomes' chances (B, P, O)."""
        logits = np.einsum("pok,bk->bpo", self.design, theta)
        logits -= logits.max(2, keepdims=True)
        return logits - np.log(np.exp(logits).sum(2, keepdims=True))

    def value(self, theta: Array) -> Array:
        """Logarithm of the posterior density (B,), but for a constant."""
        return np.einsum("bpo,bpo->b", self.counts, self.logs(theta)) - theta**2 @ self.prior / 2

    def derivatives(self, theta: Array) -> tuple[Array, Array, Array]:
        """Gradient (B, K), the sums of its terms' sizes (B, K), and minus the second derivatives (B, K, K)."""
        one, other = _two_outcomes(self.design.shape[1])
        chances = np.exp(self.logs(theta))
        up = (self.counts[:, :, one] * chances[:, :, other]).reshape(len(theta), -1)
        down = (self.counts[:, :, other] * chances[:, :, one]).reshape(len(theta), -1)
        bend = self.counts.sum(2, keepdims=True) * chances[:, :, one] * chances[:, :, other]
        gradient = (up - down) @ self.apart - self.prior * theta
        size = (up + down) @ abs(self.apart) + self.prior * np.abs(theta)
        curvature = (bend.reshape(len(theta), -1) @ self.squares).reshape(*theta.shape, -1)
        return gradient, size, curvature + np.diag(self.prior)


def _two_outcomes(outcomes: int) -> NDArray[np.intp]:
    """Every two different outcomes once: the first of each (Q,), and the second."""
    return np.array(list(combinations(range(outcomes), 2))).T


def _newton_step(posterior: _Posterior, theta: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The next theta (B, K), and where it is the last: the gradient, or what the step can gain, is only rounding."""
    gradient, size, curvature = posterior.derivatives(theta)
    # Where the prior alone tells groups of models apart, many counts leave the curvature singular but for this.
    places = np.arange(theta.shape[1])
    curvature[:, places, places] *= 1 + 4 * EPSILON
    step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
    before = posterior.value(theta)
    level = np.abs(gradient) <= SUMMED * EPSILON * (1 + np.abs(theta).max(1, keepdims=True)) * size
    settled = level.all(1) | ((gradient * step).sum(1) <= EPSILON * np.abs(before))
    step /= np.maximum(1, np.abs(step).max(1, keepdims=True) / LONGEST_STEP)
    enough = before - SUMMED * EPSILON * (np.abs(before) + posterior.counts.sum((1, 2)))
    for _ in range(HALVINGS):
        overshot = posterior.value(theta + step) < enough
        if not overshot.any():
            break
        step[overshot] /= 2
    return theta + step, settled


def unlinked(pairs: NDArray[np.intp], counts: Array, models: int) -> list[list[int]]:
    """Groups of models that do not all beat, or tie with, one another through others; one group: all are linked.

    counts (P, 3). Between groups strengths are told by the prior alone (Ford 1957).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = pairs.T
    won, lost = counts[:, 0] + counts[:, 2] > 0, counts[:, 1] + counts[:, 2] > 0
    start, end = np.concatenate([a[won], b[lost]]), np.concatenate([b[won], a[lost]])
    graph = coo_array((np.ones(len(start)), (start, end)), shape=(models, models))
    _, labels = connected_components(graph, directed=True, connection="strong")
    return [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
