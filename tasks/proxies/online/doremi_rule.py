"""DoReMi (Xie et al. 2023, arXiv 2305.10429, algorithm 1): weights that follow the worst excess loss.

With l_theta the loss of the proxy on a token and l_ref that of the reference,

    excess_i = mean over the tokens of source i in the batch of max(l_theta - l_ref, 0)
    w_i  <-  (1 - c) * w_i * exp(eta * excess_i) / sum_k w_k * exp(eta * excess_k)  +  c / d

from w = 1/d on. Batches hold all sources alike, and the proxy's loss is sum_i w_i * mean loss of source i. What
is learnt is the mean of w over all steps.

The clip leaves something where proxy and reference are equally good on average but not on each token, most of
it where both guess: late in a run the weights may go to noise. The drift in the stage's facts shows it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.training.token_plans import Array

Sources = NDArray[np.intp]


def excess_losses(proxy: Array, reference: Array, source: Sources, last: Array) -> Array:
    """Excess loss (d,): clipped at 0 token by token, then averaged over a source's tokens.

    proxy, reference: losses (n, length) in nats of the same sequences; source (n,): the source of each. A
    source without a sequence in the batch keeps its `last` (d,) one.
    """
    clipped = np.maximum(proxy - reference, 0.0).mean(axis=1)
    counts = np.bincount(source, minlength=len(last))
    sums = np.bincount(source, clipped, minlength=len(last))
    return np.where(counts > 0, sums / np.maximum(counts, 1), last)


def updated_weights(weights: Array, excess: Array, eta: float, smoothing: float) -> Array:
    """The next weights (d,), sum 1, each at least smoothing / d."""
    logs = np.log(np.maximum(weights, 1e-300)) + eta * excess
    raised = np.exp(logs - logs.max())
    return (1 - smoothing) * raised / raised.sum() + smoothing / len(weights)


def sequence_weights(weights: Array, source: Sources) -> Array:
    """Weight of each sequence (n,) in the proxy's loss: its source's, shared out among that source's sequences.

    They sum to 1 where every source is in the batch; the part of a source that is not is left out.
    """
    counts = np.bincount(source, minlength=len(weights))
    return weights[source] / counts[source]
