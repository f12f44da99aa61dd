"""Ports, and the processes that belong to the pages of one home."""

from __future__ import annotations

import base64
import os
import socket
import urllib.error
import urllib.request

import psutil

from storage.home import Home
from storage.processes import FLOW_RUN, end_all

HOST = "127.0.0.1"
MARK = "MIXSTITCH_UI"  # in the environment of every process that `make ui` starts, and of theirs


def free_port(wanted: int) -> int:
    """`wanted` where nothing listens on it, otherwise a port that the system chooses."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise RuntimeError(f"no port of {HOST} is free")


def ask(url: str, auth_string: str = "") -> bytes | None:
    """What the address answers, None where that is no success or takes longer than two seconds."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    encoded = base64.b64encode(auth_string.encode()).decode()
    asked = urllib.request.Request(url, headers={"Authorization": f"Basic {encoded}"} if auth_string else {})
    try:
        with opener.open(asked, timeout=2) as response:
            return response.read()
    except (urllib.error.URLError, OSError):
        return None


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
