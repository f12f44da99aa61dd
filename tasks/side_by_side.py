"""Work that runs side by side shares the cores: two small models on one thread each are faster than in turn on two."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar

_at_once: ContextVar[int] = ContextVar("at_once", default=1)


@contextmanager
def side_by_side(at_once: int) -> Iterator[None]:
    """What is started inside, in threads that inherit this context too, shares the cores with so many in all."""
    token = _at_once.set(at_once)
    try:
        yield
    finally:
        _at_once.reset(token)


def entered_once(
    make: Callable[[], AbstractContextManager[None]],
) -> Callable[[], AbstractContextManager[None]]:
    """Decorator: a context that changes the whole process is entered by the first thread and left by the last."""
    lock, state, inside = threading.Lock(), ExitStack(), 0

    @contextmanager
    @functools.wraps(make)
    def shared() -> Iterator[None]:
        nonlocal inside
        with lock:
            if inside == 0:
                state.enter_context(make())
            inside += 1
        try:
            yield
        finally:
            with lock:
                inside -= 1
                if inside == 0:
                    state.close()

    return shared


@contextmanager
def own_cores() -> Iterator[None]:
    """torch uses, in this thread, its share of the cores (of OMP_NUM_THREADS where that is set); all of them after."""
    import torch

    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    torch.set_num_threads(max(1, threads // _at_once.get()))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
