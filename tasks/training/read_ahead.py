"""Sequences are read from the disk in a thread while the device is at work on those before them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from tasks.training.objectives.next_token import Sequences

Read = tuple[Tensor, Tensor]


class ReadAhead:
    """Batches of `order` on a device, with the source of each sequence; one further batch is being read meanwhile.

    All reading is done in one thread, so that `order` may keep what it likes between calls.
    """

    def __init__(self, order: Sequences, device: torch.device, reader: ThreadPoolExecutor) -> None:
        self._order, self._device, self._reader = order, device, reader
        self._ahead: tuple[range, Future[Read]] | None = None

    def take(self, numbers: range, following: range | None) -> Read:
        """The batch and its source numbers; `following` is what is likely to be taken next."""
        if self._ahead is None or self._ahead[0] != numbers:
            self._ahead = (numbers, self._reader.submit(self._read, numbers))
        batch, sources = self._ahead[1].result()
        self._ahead = None if following is None else (following, self._reader.submit(self._read, following))
        return tuple(each.to(self._device, non_blocking=True) for each in (batch, sources))  # type: ignore[return-value]

    def _read(self, numbers: range) -> Read:
        found = (self._order.batch(numbers), self._order.source_numbers(numbers))
        tensors = [torch.from_numpy(np.ascontiguousarray(each)) for each in found]
        batch, sources = [each.pin_memory() for each in tensors] if self._device.type == "cuda" else tensors
        return batch, sources


@contextmanager
def read_ahead(order: Sequences, device: torch.device) -> Iterator[ReadAhead]:
    """What reads `order` for a device, until the end of the block."""
    reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    try:
        yield ReadAhead(order, device, reader)
    finally:
        reader.shutdown(cancel_futures=True)
