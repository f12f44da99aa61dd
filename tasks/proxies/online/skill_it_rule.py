"""Skill-it (Chen et al. 2023, arXiv 2307.14430, algorithm 1): weights that follow who helps whom.

With L_j the validation loss of source j, and f_i the first model after a short training on source i alone,

    A_ij   = max(L_j(first model) - L_j(f_i), 0) / L_j(first model)
    p_i,1  ~ exp(eta * sum_j A_ij)
    p_i,t+1 ~ exp(eta * sum over the latest w rounds r <= t of sum_j A_ij * L_j(before round r))

each divided by its sum over i. What is learnt is the mean of p over the rounds. A is the relative fall of the
loss, so that it has no unit; help counts, harm does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.training.token_plans import Array


def skills_graph(before: Array, after: Array) -> Array:
    """A (d, d) from losses before (d,) any training and after (d, d): row i after training on source i."""
    return np.maximum(before[None, :] - after, 0.0) / before[None, :]


def first_mixture(graph: Array, eta: float) -> Array:
    """p (d,) of the first round."""
    return _softmax(eta * graph.sum(axis=1))


def next_mixture(graph: Array, losses: Sequence[Array], eta: float, window: int) -> Array:
    """p (d,) of the round after those whose losses (d,), each measured before its round, are given."""
    return _softmax(eta * graph @ np.sum(losses[-window:], axis=0))


def _softmax(values: Array) -> Array:
    raised = np.exp(values - values.max())
    return raised / raised.sum()
