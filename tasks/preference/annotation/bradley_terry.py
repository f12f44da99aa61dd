"""Strengths of models from pairwise outcomes with ties, for many weightings of the judgements at once.

Davidson's model (1970): with strengths s and tie parameter t, model a against b

    P(a) : P(b) : P(tie)  =  e^(s_a) : e^(s_b) : e^(t + (s_a + s_b) / 2),

fitted by penalised maximum likelihood with Newton steps. The penalty is a normal prior of deviation 10 on s, 5 on t
(in log-odds), which decides nothing where there are judgements and keeps a model that never lost finite.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PRIOR_DEVIATION = 10.0
TIE_DEVIATION = 5.0
ROUNDS = 100
ENOUGH = 1e-10
ELO = 400 / np.log(10)


def fit_strengths(pairs: NDArray[np.intp], counts: Array, models: int) -> tuple[Array, Array]:
    """pairs (P, 2): models a and b; counts (B, P, 3): wins of a, of b, ties in each of B weightings.

    Returns strengths (B, models) in log-odds with mean 0, and tie parameters (B,). Without any tie the tie parameter
    is -infinity: plain Bradley-Terry.
    """
    draws = len(counts)
    has_ties = counts[:, :, 2].sum() > 0
    size = models + 1
    theta = np.zeros((draws, size))
    theta[:, -1] = 0.0 if has_ties else -np.inf
    design = np.zeros((len(pairs), 3, size))
    rows = np.arange(len(pairs))
    design[rows, 0, pairs[:, 0]] = 1
    design[rows, 1, pairs[:, 1]] = 1
    design[rows, 2, pairs[:, 0]] = 0.5
    design[rows, 2, pairs[:, 1]] = 0.5
    design[:, 2, -1] = 1
    prior = np.append(np.full(models, PRIOR_DEVIATION**-2), TIE_DEVIATION**-2)
    free = np.arange(size if has_ties else models)
    slim = design[:, :, free]
    total = counts.sum(2)
    for _ in range(ROUNDS):
        chances = _chances(design, theta)
        gradient = (
            np.einsum("bpo,pok->bk", counts - total[:, :, None] * chances, slim)
            - prior[free] * theta[:, free]
        )
        mean = np.einsum("bpo,pok->bpk", chances, slim)
        curvature = np.einsum("bp,bpo,pok,pol->bkl", total, chances, slim, slim, optimize=True)
        curvature -= np.einsum("bp,bpk,bpl->bkl", total, mean, mean, optimize=True)
        curvature += np.diag(prior[free])
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        # A long Newton step may overshoot where a model won or lost nearly all.
        step /= np.maximum(1, np.abs(step).max(1, keepdims=True) / 2)
        theta[:, free] += step
        if np.abs(step).max() < ENOUGH:
            break
    else:
        raise ValueError("Bradley-Terry did not converge: the counts are too large or not finite")
    strengths = theta[:, :models]
    return strengths - strengths.mean(1, keepdims=True), theta[:, -1]


def expected_outcomes(strengths: Array, tie: float, a: int, b: int) -> Array:
    """Probability that a wins, b wins, they tie (3,)."""
    logits = np.array([strengths[a], strengths[b], tie + (strengths[a] + strengths[b]) / 2])
    chances = np.exp(logits - logits.max())
    return chances / chances.sum()


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


def _chances(design: Array, theta: Array) -> Array:
    finite = np.where(np.isfinite(theta), theta, 0)
    logits = np.einsum("pok,bk->bpo", design, finite)
    logits[:, :, 2] += np.where(np.isfinite(theta[:, -1]), 0, -np.inf)[:, None]
    chances = np.exp(logits - logits.max(2, keepdims=True))
    return chances / chances.sum(2, keepdims=True)
