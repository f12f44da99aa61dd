"""Whether the very process that a note names still runs."""

from __future__ import annotations

import os

import psutil


def this_process() -> dict:
    """What `is_alive` knows this process by, to be written into a note."""
    return {"process": os.getpid(), "process_started": psutil.Process().create_time()}


def is_alive(note: dict) -> bool:
    """Whether the process that a note names still works: its number may be another's by now, and a process that
    has ended stays listed until its parent asks how."""
    try:
        process = psutil.Process(note["process"])
        same = abs(process.create_time() - note["process_started"]) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
