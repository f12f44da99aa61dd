"""Which task and which of its examples stands at each place of a mix: exact counts, told from the place alone.

The j-th example of task i is due at time (j + 1/2) / w_i; the mix is all of them in the order of their times, ties by
the order of the tasks. After k places no task is more than one example away from its share w_i k, so that a mix may be
broken off anywhere; and what stands at place k needs nothing but k, so that it may be gone on with anywhere. Each pass
over a task has an order of its own, from seed, task and pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BISECTIONS = 200


class ExactOrder:
    """weights: task -> share, sum 1; sizes: task -> its examples. ValueError for a weight without an example."""

    def __init__(self, weights: Mapping[str, float], sizes: Mapping[str, int], random_seed: int) -> None:
        self._tasks = [task for task, weight in weights.items() if weight > 0]
        lacking = [task for task in self._tasks if sizes[task] < 1]
        if lacking:
            raise ValueError(f"{lacking[0]}: has a weight and no example")
        shares = np.array([weights[task] for task in self._tasks], float)
        self._weights: Array = shares / shares.sum()
        self._sizes, self._seed = dict(sizes), random_seed
        self._orders: dict[tuple[str, int], NDArray[np.intp]] = {}

    def counts(self, length: int) -> dict[str, int]:
        """Examples of each task among the first `length`."""
        return dict(zip(self._tasks, self._until(length).tolist(), strict=True))

    def at(self, place: int) -> tuple[str, int, int]:
        """(task, number of its example, pass over it) at a place, from 0."""
        before, after = self._until(place), self._until(place + 1)
        (which,) = np.flatnonzero(after - before)
        task, number = self._tasks[which], int(before[which])
        turn, within = divmod(number, self._sizes[task])
        return task, int(self._order(task, turn)[within]), turn

    def _until(self, length: int) -> NDArray[np.int_]:
        """Examples of each task at the first `length` places."""
        low, high = max(length - len(self._tasks), 0.0), float(length + len(self._tasks))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            if self._due(middle).sum() <= length:
                low = middle
            else:
                high = middle
        counts = self._due(low)
        missing = length - int(counts.sum())
        if missing:  # several are due at one time: the first of them in the order of the tasks
            later = np.flatnonzero(self._due(high) - counts)
            counts[later[:missing]] += 1
        return counts

    def _due(self, time: float) -> NDArray[np.int_]:
        return np.floor(self._weights * time + 0.5).astype(int)

    def _order(self, task: str, turn: int) -> NDArray[np.intp]:
        if (task, turn) not in self._orders:
            digest = hashlib.sha256(f"{self._seed}\0{task}\0{turn}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
            self._orders[task, turn] = rng.permutation(self._sizes[task])
        return self._orders[task, turn]
