"""The processes that belong to the pages of one home."""

from __future__ import annotations

import os

import psutil

from storage.home import Home
from storage.processes import FLOW_RUN, end_all

MARK = "MIXSTITCH_UI"  # in the environment of every process that `make ui` starts, and of theirs


def processes_of(home: Home, module: str = "") -> list[psutil.Process]:
    """Every living process that a `make ui` of this home started, directly or not; not this one.

    module: only those that run this Python module.
    """
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == str(home.root)
            wanted = marked and (not module or module in process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if wanted and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def end_flow_runs(home: Home) -> None:
    """Ask the runs to end while their server still takes it down; Prefect itself would kill them silently."""
    end_all(processes_of(home, FLOW_RUN))
