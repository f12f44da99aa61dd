"""How a command ends that is sent signal n: its run is cancelled, what it started is ended, exit status 128 + n.

What was being made stays as after any other end, and the same command goes on from it. So threads at work are not
waited for: the process ends under them.
"""

from __future__ import annotations

import contextvars
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn
from uuid import UUID

import psutil

from storage.processes import end_all

if TYPE_CHECKING:
    from storage.runs import Run

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST_SECONDS = 40.0  # then the process ends whatever holds up the rest
CHILDREN_SECONDS = 8.0
CANCELLED = "cancelled"
_begun = threading.Event()
_at_work: list[tuple[Run, contextvars.Context]] = []


def end_by_signals() -> None:
    """Have SIGINT, SIGTERM and SIGHUP end this process so; only for a process of ours, as the command line is."""
    for number in SIGNALS:
        signal.signal(number, _heard)


@contextmanager
def cancelled_by_signals(run: Run) -> Iterator[None]:
    """The run that a signal cancels meanwhile, also where Prefect has put a handler of its own in our place.

    In a process that is not ours (a notebook, a flow run of `make ui`) the exception that stands for the signal passes
    through here: the run is cancelled, what it has started is ended, and the exception goes on.
    """
    ours = signal.getsignal(signal.SIGINT) is _heard
    before = {number: signal.getsignal(number) for number in SIGNALS} if ours else {}
    if ours:
        end_by_signals()
    _at_work.append((run, contextvars.copy_context()))
    try:
        yield
    except Exception:
        if _begun.is_set():
            _wait_for_the_end()
        raise
    except BaseException as error:
        if _begun.is_set():
            _wait_for_the_end()
        if ours:  # Prefect's handler was there again, in one of its tasks
            _end(signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
        run.finish(CANCELLED, f"ended by {type(error).__name__}")
        end_all([child for child in _children() if not _is_server(child)], CHILDREN_SECONDS)
        raise
    finally:
        _at_work.pop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _heard(number: int, frame: FrameType | None) -> None:
    """In a thread, because what was interrupted here may hold a lock that the end needs, and goes on to release it."""
    if not _begun.is_set():
        _begun.set()
        threading.Thread(target=_end, args=(signal.Signals(number),), name="ending").start()


def _end(number: signal.Signals) -> NoReturn:
    _begun.set()
    status = 128 + number
    held_up = threading.Timer(LONGEST_SECONDS, os._exit, (status,))
    held_up.daemon = True
    held_up.start()
    logging.disable(logging.CRITICAL)  # what fails from now on fails because of the end
    try:
        for run, context in _at_work:
            context.run(_cancel, run, number)
        end_all(_children(), CHILDREN_SECONDS)
    except BaseException as error:
        print(f"mixstitch: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _cancel(run: Run, number: signal.Signals) -> None:
    run.finish(CANCELLED, f"ended by {number.name}")
    print(
        f"mixstitch: {number.name}: run {run.run_id} is cancelled; the same command goes on where it was",
        file=sys.stderr,
        flush=True,
    )
    run.update(prefect_told=tell_prefect(run.flow_run_id, number.name))


def tell_prefect(flow_run_id: str | None, why: str) -> bool:
    """Close a flow run as cancelled; whether Prefect's server was there to be told (Ctrl-C ends it too)."""
    if flow_run_id is None:
        return True
    import httpx
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Cancelled

    try:
        with get_client(sync_client=True) as client:
            flow_run = client.read_flow_run(UUID(flow_run_id))
            if flow_run.state is None or not flow_run.state.is_final():
                client.set_flow_run_state(flow_run.id, Cancelled(message=f"ended by {why}"), force=True)
    except ObjectNotFound:  # it was of a server that this home no longer has
        return True
    except (httpx.HTTPError, RuntimeError):
        return False
    return True


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _is_server(process: psutil.Process) -> bool:
    """Whether it is Prefect's server, which Prefect still tells of the end and then ends itself."""
    try:
        return "uvicorn" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _wait_for_the_end() -> NoReturn:
    while True:
        threading.Event().wait()
