"""Next-token cross-entropy over all tokens of a batch, the loss of pre-training; and what an objective is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from torch.nn import functional

Objective = Callable[[Any, Tensor], Tensor]


class Sequences(Protocol):
    """What the loop reads: numbered sequences, the same on every machine and after every resume."""

    @property
    def sources(self) -> list[str]:
        """Names of the sources that sequences are of, in the order of their numbers."""
        ...

    def __len__(self) -> int: ...

    def source_numbers(self, numbers: range) -> np.ndarray:
        """Of which source each of these sequences is."""
        ...

    def batch(self, numbers: range) -> np.ndarray:
        """What the objective takes of these sequences, the first axis theirs."""
        ...


def next_token(model: Any, batch: Tensor) -> Tensor:
    """batch: token ids (sequences, length)."""
    return model(input_ids=batch, labels=batch, use_cache=False).loss


def following_token(model: Any, batch: Tensor) -> Tensor:
    """batch: token ids (sequences, length + 1), of which the last is asked for and not read."""
    logits = model(input_ids=batch[:, :-1], use_cache=False).logits
    return functional.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())
