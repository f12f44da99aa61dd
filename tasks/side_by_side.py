"""Work that runs side by side shares the cores: two small models on one thread each are faster than in turn on two."""

from __future__ import annotations

import functools
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
    """torch uses, in this thread, its share of the threads that it would use alone; all of them after."""
    import torch

    threads = _threads_alone()
    torch.set_num_threads(max(1, threads // _at_once.get()))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_first = threading.Lock()


def _threads_alone() -> int:
    """As torch has chosen before any share was set: a thread that starts later would be told the share."""
    with _first:
        return _told_by_torch()


@functools.cache
def _told_by_torch() -> int:
    import torch

    return torch.get_num_threads()
