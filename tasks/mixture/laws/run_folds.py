"""Which runs are held out together: at random, runs of one mixture never on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.mixture.solver.capped_simplex import Array

Fold = NDArray[np.intp]
NUM_FOLDS, FEW_FOLDS = 4, 2
RUNS_FOR_FOLDS = 16
SAME = 6  # Digits of a weight that tell two mixtures apart.


def same_mixture(mixtures: Array) -> NDArray[np.intp]:
    """For mixtures (n, d) the number of each one's mixture, from 0."""
    return np.unique(np.round(mixtures, SAME), axis=0, return_inverse=True)[1].reshape(-1)


def random_folds(mixtures: Array) -> list[Fold]:
    """The held-out runs of each of 4 random folds (2 for fewer than 16 different mixtures)."""
    group = same_mixture(mixtures)
    num_groups = int(group.max()) + 1
    count = min(NUM_FOLDS if num_groups >= RUNS_FOR_FOLDS else FEW_FOLDS, num_groups)
    parts = np.array_split(np.random.default_rng(0).permutation(num_groups), count)
    return [np.flatnonzero(np.isin(group, part)) for part in parts]
