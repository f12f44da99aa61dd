"""The order in which rows are read: a new one each epoch, fixed by the seed, so that a killed run goes on."""

from __future__ import annotations

import numpy as np

from tasks.training.objectives.answer_tokens import LABELS, NOT_LEARNT, STEP
from tasks.training.token_order import generator


class RowOrder:
    """rows: (rows, planes, length). Sequence n is row n of the epochs end to end; what fills no step is left out."""

    def __init__(self, rows: np.ndarray, epochs: int, batch_size: int, random_seed: int, name: str) -> None:
        """Raises ValueError where the epochs together are less than one step."""
        self._rows, self._batch_size = rows, batch_size
        orders = [generator(random_seed, name, str(e)).permutation(len(rows)) for e in range(epochs)]
        self._order = np.concatenate(orders)
        self._order = self._order[: len(self._order) // batch_size * batch_size]
        if not len(self._order):
            raise ValueError(
                f"{name}: {len(rows)} sequences, {epochs} times, are less than one step of {batch_size}; allowed: a "
                "smaller batch_size, more epochs or more data"
            )

    @property
    def sources(self) -> list[str]:
        return ["dialogues"]

    def __len__(self) -> int:
        return len(self._order)

    def source_numbers(self, numbers: range) -> np.ndarray:
        return np.zeros(len(numbers), np.int64)

    def batch(self, numbers: range) -> np.ndarray:
        return self._rows[self._order[list(numbers)]]


class AnswerOrder(RowOrder):
    """Rows of dialogues, with a plane more: how many tokens their whole step learns, and how many rows it has."""

    def batch(self, numbers: range) -> np.ndarray:
        step = numbers[0] // self._batch_size
        whole = super().batch(range(step * self._batch_size, (step + 1) * self._batch_size))
        learnt = int((whole[:, LABELS, 1:] != NOT_LEARNT).sum())
        told = np.zeros((len(numbers), STEP + 1, whole.shape[-1]), np.int64)
        told[:, :STEP] = super().batch(numbers)
        told[:, STEP, :2] = learnt, self._batch_size
        return told
