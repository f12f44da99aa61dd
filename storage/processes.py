"""Whether the very process that a note names still runs, and which processes a dead one has left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from storage.home import Home

OWNER = "MIXSTITCH_RUN_PROCESS"  # in the environment of every process that ours start: whose it is, a note
FLOW_RUN = "prefect.engine"  # the module that carries out a run started from a page
END_SECONDS = 15.0
PROC = Path("/proc")
START_TICKS = (
    19  # place of the start time among the fields of /proc/PID/stat after the name, which may hold spaces
)


def this_process() -> dict:
    """What `is_alive` knows this process by, to be written into a note."""
    return note_of(psutil.Process())


def note_of(process: psutil.Process) -> dict:
    """Number and start of a process; the start in ticks since the machine did, which no setting of the clock moves."""
    ticks = _start_ticks(process.pid)
    if ticks is None:
        return {"process": process.pid, "process_started": process.create_time()}
    return {"process": process.pid, "start_ticks": ticks, "boot": _boot()}


def is_alive(note: dict) -> bool:
    """Whether the process that a note names still works: its number may be another's by now, and a process that
    has ended stays listed until its parent asks how."""
    try:
        process = psutil.Process(note["process"])
        if "start_ticks" in note:
            same = (_start_ticks(process.pid), _boot()) == (note["start_ticks"], note["boot"])
        else:  # where there is no /proc, or as earlier versions wrote it
            same = abs(process.create_time() - note["process_started"]) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def marking_children(home: Home) -> Iterator[None]:
    """Every process that this one starts meanwhile bears its note, so that none is left behind unknown."""
    before = os.environ.get(OWNER)
    os.environ[OWNER] = json.dumps({**this_process(), "home": str(home.root)})
    try:
        yield
    finally:
        if before is None:
            del os.environ[OWNER]
        else:
            os.environ[OWNER] = before


def orphans(home: Home) -> list[psutil.Process]:
    """What processes of this home have started and left behind when they ended."""
    return [process for process, owner in owned(home) if not is_alive(owner)]


def owned(home: Home) -> list[tuple[psutil.Process, dict]]:
    """Every process that one of ours has started for this home, directly or not, and the note of that one."""
    found = []
    for process in psutil.process_iter():
        try:
            note = process.environ().get(OWNER)
            owner = json.loads(note) if note else {}
            if owner.get("home") == str(home.root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append((process, owner))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def end_orphans(home: Home) -> int:
    """End what was left behind; returns how many there were."""
    left = orphans(home)
    end_all([process for process in left if _runs_flow(process)])  # while their server still takes it down
    end_all([process for process in left if process.is_running()])
    return len(left)


def _runs_flow(process: psutil.Process) -> bool:
    try:
        return FLOW_RUN in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def end_all(processes: list[psutil.Process], seconds: float = END_SECONDS) -> None:
    """Ask them to end, ask again those that have not within `seconds`, and then end them.

    A flow run is asked by an exception that Prefect raises where it is just then; in a destructor or a callback of a
    weak reference Python swallows it, and the run goes on.
    """
    alive = processes
    for ask_or_end in (psutil.Process.terminate, psutil.Process.terminate, psutil.Process.kill):
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                ask_or_end(process)
        _, alive = psutil.wait_procs(alive, timeout=seconds)


def _start_ticks(number: int) -> int | None:
    try:
        told = (PROC / str(number) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(told.rpartition(")")[2].split()[START_TICKS])


def _boot() -> str:
    return (PROC / "sys" / "kernel" / "random" / "boot_id").read_text(encoding="utf-8").strip()
