"""Which task and which of its examples stands at each place of a mix: exact counts, told from the place alone.

Tijdeman's rule (The chairman assignment problem, Discrete Mathematics 32, 1980): at place k, from 1, of the tasks that
have had n_i of the places before and w_i k - n_i >= d, the one that is due first, at (n_i + 1 - d) / w_i; d is
1 / (2 N - 2) for N tasks, ties by their order. After k places no task is more than 1 - d examples away from its share
w_i k, so that a mix may be broken off anywhere; and what stands at place k follows from k, so that it may be gone on
with anywhere. Each pass over a task has an order of its own, from seed, task and pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROUNDING = 1e-9  # of shares times places


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
        self._slack = 1 / max(2, 2 * len(shares) - 2)
        self._had = np.zeros(len(shares), int)  # by each task, of the places that are told so far:
        self._places: list[tuple[int, int]] = []  # which task, and how many of its examples stand before
        self._orders: dict[tuple[str, int], NDArray[np.intp]] = {}

    def counts(self, length: int) -> dict[str, int]:
        """Examples of each task among the first `length`."""
        self._tell(length)
        which = [task for task, _ in self._places[:length]]
        counts = np.bincount(np.array(which, int), minlength=len(self._tasks))
        return dict(zip(self._tasks, counts.tolist(), strict=True))

    def at(self, place: int) -> tuple[str, int, int]:
        """(task, number of its example, pass over it) at a place, from 0."""
        self._tell(place + 1)
        which, number = self._places[place]
        task = self._tasks[which]
        turn, within = divmod(number, self._sizes[task])
        return task, int(self._order(task, turn)[within]), turn

    def _tell(self, length: int) -> None:
        for place in range(len(self._places) + 1, length + 1):
            owed = self._weights * place - self._had
            due = (self._had + 1 - self._slack) / self._weights
            which = int(np.where(owed >= self._slack - ROUNDING, due, np.inf).argmin())
            self._places.append((which, int(self._had[which])))
            self._had[which] += 1

    def _order(self, task: str, turn: int) -> NDArray[np.intp]:
        if (task, turn) not in self._orders:
            digest = hashlib.sha256(f"{self._seed}\0{task}\0{turn}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
            self._orders[task, turn] = rng.permutation(self._sizes[task])
        return self._orders[task, turn]
