"""Which experts to train when nobody says: tasks that are served by the same data go together."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.mixture.plans import relative_utility
from tasks.mixture.solver.capped_simplex import Array


def auto_experts(
    utility: pd.DataFrame, count: int, reserved: Collection[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Groups the tasks into `count` experts: expert name -> its tasks, both in the order of names.

    utility: sources x tasks. Average linkage on 1 - the correlation of two tasks' utilities over sources,
    after each source's mean over all tasks is taken out (a task that prefers no source correlates with none).
    An expert is named for the source of the largest mean relative utility for its tasks; where two would have
    the same name, the one with the larger keeps it and the other takes its next best source. reserved: names that
    are not free for experts.
    Raises ValueError where count is not between 1 and the number of tasks.
    """
    tasks = sorted(str(task) for task in utility.columns)
    if not 1 <= count <= len(tasks):
        raise ValueError(f"count={count} experts: must be from 1 to the number of tasks, {len(tasks)}")
    values = utility.sort_index(axis=0).sort_index(axis=1)
    centred = values.to_numpy(float) - values.to_numpy(float).mean(axis=1, keepdims=True)
    groups = _clusters(centred, count)
    members = [
        tuple(task for task, group in zip(tasks, groups, strict=True) if group == g) for g in range(count)
    ]
    return dict(sorted(zip(_names(values, members, reserved), members, strict=True)))


def _clusters(columns: Array, count: int) -> NDArray[np.intp]:
    from scipy.cluster.hierarchy import cut_tree, linkage
    from scipy.spatial.distance import squareform

    num_tasks = columns.shape[1]
    if count == num_tasks:
        return np.arange(num_tasks)
    deviation = columns - columns.mean(axis=0)
    length = np.linalg.norm(deviation, axis=0)
    prefers = length > 1e-12
    unit = np.divide(deviation, length, out=np.zeros_like(deviation), where=prefers)
    distance = np.clip(1 - unit.T @ unit, 0, 2).round(12)  # So that ties stay ties in any order of sources.
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), method="average")
    return cut_tree(tree, n_clusters=count)[:, 0]


def _names(values: pd.DataFrame, members: list[tuple[str, ...]], reserved: Collection[str]) -> list[str]:
    strength = {
        g: relative_utility(values, tasks).mean(axis=1).sort_values(ascending=False, kind="stable")
        for g, tasks in enumerate(members)
    }
    names: dict[int, str] = {}
    for g in sorted(strength, key=lambda g: (-strength[g].iloc[0], members[g])):
        taken = {*names.values(), *reserved}
        free = [str(source) for source in strength[g].index if str(source) not in taken]
        # More experts than sources to name them for: number the strongest one's name.
        numbered = (f"{strength[g].index[0]}-{number}" for number in itertools.count(g + 1))
        names[g] = free[0] if free else next(name for name in numbered if name not in taken)
    return [names[g] for g in range(len(members))]
