"""How a command ends before its time: what it started is ended, and its run is closed and told of in one message.

Sent signal n, its run is cancelled, exit status 128 + n; without Prefect's server, its run has failed, exit status 2.

What was being made stays as after any other end, and the same command goes on from it. So threads at work are not
waited for: the process ends under them.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn
from uuid import UUID

import psutil

from storage.processes import end_all
from storage.run_records import CANCELLED, FAILED

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from storage.runs import Run

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST_SECONDS = 40.0  # then the process ends whatever holds up the rest
CHILDREN_SECONDS = 8.0
LOOK_SECONDS = 1.0
SIGNAL_SECONDS = 2.0  # Ctrl-C reaches Prefect's server too, perhaps before us
WITHOUT_SERVER = 2
_begun = threading.Event()
_at_work: list[tuple[Run, contextvars.Context]] = []


def end_by_signals() -> None:
    """Have SIGINT, SIGTERM and SIGHUP end this process so; only for a process of ours, as the command line is."""
    for number in SIGNALS:
        signal.signal(number, _heard)
    atexit.unregister(_end_as_said)
    atexit.register(_end_as_said)


def _end_as_said() -> None:
    """All is done: what comes while Python takes itself apart would end it by the signal, its exit status lost."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def unwound_by_signals() -> Iterator[None]:
    """Meanwhile a signal goes through as an exception, so that what is half-written is removed on its way."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_ours() -> bool:
    return signal.getsignal(signal.SIGINT) is _heard


@contextmanager
def ending_with(is_gone: Callable[[], bool], what: str) -> Iterator[None]:
    """Meanwhile this process, where it is ours, ends once what its run cannot do without is gone.

    Prefect itself would ask a server that is gone for minutes, and then end in errors of a connection.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            if is_gone():
                if not over.wait(SIGNAL_SECONDS) and not _begun.is_set():
                    _end_without(what)
                return

    if _is_ours():
        threading.Thread(target=watch, name="watching", daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def cancelled_by_signals(run: Run) -> Iterator[None]:
    """The run that a signal cancels meanwhile, also where Prefect has put a handler of its own in our place.

    In a process that is not ours (a notebook, a flow run of `make ui`) the exception that stands for the signal passes
    through here: the run is cancelled, what it has started is ended, and the exception goes on.
    """
    ours = _is_ours()
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
            _end_by(signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
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
        threading.Thread(target=_end_by, args=(signal.Signals(number),), name="ending").start()


def _end_by(number: signal.Signals) -> NoReturn:
    _end(128 + number, lambda run: _cancel(run, number))


def _end(status: int, close: Callable[[Run], None]) -> NoReturn:
    _begun.set()
    held_up = threading.Timer(LONGEST_SECONDS, os._exit, (status,))
    held_up.daemon = True
    held_up.start()
    logging.disable(logging.CRITICAL)  # what fails from now on fails because of the end
    try:
        for run, context in _at_work:
            context.run(close, run)
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
    run.update(prefect_told=tell_prefect(run.flow_run_id, CANCELLED, f"ended by {number.name}"))


def _end_without(what: str) -> NoReturn:
    print(
        f"mixstitch: {what} was ended from outside, and the run has failed; the same command goes on where it was",
        file=sys.stderr,
        flush=True,
    )
    _end(WITHOUT_SERVER, lambda run: _fail(run, what))


def _fail(run: Run, what: str) -> None:
    run.finish(FAILED, f"{what} was ended from outside")
    run.update(prefect_told=False)


def tell_prefect(flow_run_id: str | None, status: str, why: str) -> bool:
    """Close a flow run as cancelled or failed; whether Prefect's server was there to be told (Ctrl-C ends it too)."""
    if flow_run_id is None:
        return True
    import httpx
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Cancelled, Failed

    state: State = (Cancelled if status == CANCELLED else Failed)(message=why)
    try:
        with get_client(sync_client=True) as client:
            flow_run = client.read_flow_run(UUID(flow_run_id))
            if flow_run.state is None or not flow_run.state.is_final():
                client.set_flow_run_state(flow_run.id, state, force=True)
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
