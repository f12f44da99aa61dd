"""Which batch a step reads, once some batches were skipped: a function of the decisions alone.

The same after every resume and on any number of processes, since batch n is the sequences n * batch_size and
following of the run's order, whoever reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def batches_read(num_batches: int, skipped: Sequence[int], replay: bool) -> np.ndarray:
    """Batch of each step (steps,): those not skipped, in order, and with `replay` the skipped ones after them."""
    numbers = np.arange(num_batches)
    is_skipped = np.isin(numbers, np.asarray(skipped, dtype=np.int64))
    kept = numbers[~is_skipped]
    return np.concatenate([kept, numbers[is_skipped]]) if replay else kept
