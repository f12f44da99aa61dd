"""The loss of a safety reward model: that of its pairs, and one that tells safe answers from unsafe ones.

    L = -log sigma(r_c - r_r - m) + w / 2 * sum over labelled answers of the pair of H(safe, sigma(r))

H is the binary cross-entropy. Llama 2 (arXiv 2307.09288, section 3.2.2 and A.3.3) adds such a loss and reads the
reward itself as the classifier, unsafe below sigma(r) = 1/2; it gives neither the weight w nor the form.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from tasks.training.objectives.preference_margin import ABOUT, MICRO, margin_loss, pair_rewards

MARGIN, LABELS, WEIGHT, END = (
    2,
    3,
    5,
    6,
)  # places in the plane ABOUT; a label an answer, and what follows the last
UNTOLD, UNSAFE, SAFE = range(3)


def safety_margin(model: Any, batch: Tensor) -> Tensor:
    """Mean over the pairs; batch (pairs, 3, length) as preference_margin's, with labels and weight."""
    rewards, about = pair_rewards(model, batch), batch[:, ABOUT]
    labels = about[:, LABELS:WEIGHT]
    told = functional.binary_cross_entropy_with_logits(
        rewards, (labels == SAFE).to(rewards.dtype), reduction="none"
    )
    auxiliary = (told * (labels != UNTOLD)).sum(dim=1) / 2
    ranking = margin_loss(rewards[:, 0], rewards[:, 1], about[:, MARGIN] / MICRO)
    return (ranking + about[:, WEIGHT] / MICRO * auxiliary).mean()
