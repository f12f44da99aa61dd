"""Two rewards as one, piece by piece: Llama 2 (arXiv 2307.09288), equation 4 and the two before it.

    R_c(g|p) = R_s(g|p)  if is_safety(p) or R_s(g|p) < 0.15,  else R_h(g|p)
    R~_c(g|p) = whiten( logit( R_c(g|p) ) )

R = sigma(r) of what a head of width one gives, so logit(R_c) is the one r or the other. Whitening is over the whole
batch: of the parts of one, each for itself, the means would be lost that tell the parts apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit


@dataclass(frozen=True)
class Judged:
    """Of answers, arrays of one shape. scores: logit(R_c), or the rewards of the only model.

    parts: helpfulness and safety, r of the two models, and took_safety, whether the score is safety's; none with one
    model.
    """

    scores: NDArray
    parts: Mapping[str, NDArray] = field(default_factory=dict)


def combined(helpfulness: NDArray, safety: NDArray, is_safety: NDArray, threshold: float) -> Judged:
    """helpfulness, safety: r of each answer; is_safety: whether its prompt is tagged, broadcast to their shape."""
    took = np.broadcast_to(is_safety, safety.shape) | (expit(safety) < threshold)
    parts = {"helpfulness": helpfulness, "safety": safety, "took_safety": took}
    return Judged(np.where(took, safety, helpfulness), parts)


def whitened(scores: NDArray) -> NDArray:
    """Mean 0 and standard deviation 1 over all of them, whatever their shape; all 0 where they are alike."""
    spread = scores.std()
    return (scores - scores.mean()) / (spread if spread > 0 else 1.0)
