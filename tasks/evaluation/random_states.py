"""The process' random states: fixed while models are scored, as they were afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from tasks.side_by_side import entered_once


@entered_once
@contextmanager
def kept_random_states() -> Iterator[None]:
    """Fixed seeds inside, for tasks that sample; the states of before afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        seed_everything()
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def seed_everything() -> None:
    """For `kept_random_states`: what a task draws is the same in every evaluation."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
