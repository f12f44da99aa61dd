"""Which runs are held out together: at random, and the far ends of the swarm.

At random says how a law fares among mixtures like those it saw. A mixture that is to be proposed, and a table
of another scale, lie elsewhere: so whole groups of like mixtures are held out as well, and the law has to
reach them from the others. Runs of one mixture are never on both sides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.mixture.solver.capped_simplex import Array

Fold = NDArray[np.intp]
NUM_FOLDS, FEW_FOLDS = 4, 2
RUNS_FOR_FOLDS, RUNS_FOR_GROUPS = 16, 32
LARGEST_GROUP = 0.6
STARTS = 10
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


def far_folds(mixtures: Array) -> list[Fold]:
    """The runs of each of 4 groups of like mixtures: k-means on square roots of weights.

    None for fewer than 32 different mixtures. A group of more than 60% of the runs is not held out: too few
    would be left to learn from.
    """
    from scipy.cluster.vq import kmeans2

    if int(same_mixture(mixtures).max()) + 1 < RUNS_FOR_GROUPS:
        return []
    roots = np.sqrt(mixtures)
    least, group = np.inf, np.zeros(len(roots), dtype=np.intp)
    for start in range(STARTS):
        centres, found = kmeans2(roots, NUM_FOLDS, minit="++", seed=np.random.default_rng(start))
        spread = float(((roots - centres[found]) ** 2).sum())
        if spread < least:
            least, group = spread, found
    folds = [np.flatnonzero(group == g) for g in range(NUM_FOLDS)]
    return [fold for fold in folds if 0 < len(fold) <= LARGEST_GROUP * len(mixtures)]
