"""The Prefect server that a run starts for its own time: guarded, and for the processes of this run alone.

Prefect would start one itself, and import the whole server into the run to do so: four seconds of every command.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import IO, Any

import httpx
from prefect.settings import get_current_settings

from flows.guarded_server import FACTORY, new_auth_string, protection
from flows.loopback import HOST, free_port
from storage.home import Home
from storage.writing import told_refusal

NO_PORT = 3  # uvicorn's exit status where it could not begin to listen, or Prefect could not begin
MOST_TRIES = 5
LOOK_SECONDS = 0.1
END_SECONDS = 5.0
LOG = "server.log"
LONGEST_LOG = 1 << 20  # bytes: a longer one is begun anew
ROOT = Path(__file__).resolve().parent.parent


@cache
def server_of(home: Home) -> TemporaryServer:
    """One for all runs of this process in a home."""
    return TemporaryServer(home)


class TemporaryServer:
    """Starts when it is first asked for, and ends with this process."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.auth_string = new_auth_string()
        self.url = ""
        self.process: subprocess.Popen[Any] | None = None

    def start(self, longest: float = 300.0) -> None:
        """Returns when it answers; ValueError where it does not, on a machine too busy, or where it cannot serve."""
        if self.process is not None and self.process.poll() is None:
            return
        atexit.register(self.end)
        until = time.monotonic() + longest
        try:
            for _ in range(MOST_TRIES):
                self.process = self._begin()
                if self._answers(until):
                    return
            raise RuntimeError(f"it ended {MOST_TRIES} times as it began")
        except (RuntimeError, OSError, httpx.TransportError) as error:
            self.end()
            raise ValueError(
                told_refusal(error, self.home)
                or f"Prefect's server did not come up ({error}); what it printed is in {self.log}; the same command "
                "goes on, on a machine less busy"
            ) from error

    def _begin(self) -> subprocess.Popen[Any]:
        port = free_port()
        self.url = f"http://{HOST}:{port}/api"
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--factory", FACTORY]
        listen = ["--host", HOST, "--port", str(port), "--log-level", "error", "--lifespan", "on"]
        environment = {
            "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",  # nobody reads them, and they fill the database
            **os.environ,
            "PREFECT_UI_ENABLED": "0",
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
            **get_current_settings().to_environment_variables(exclude_unset=True),
            **protection(self.auth_string, ""),
        }
        with self._open_log() as log:
            return subprocess.Popen([*command, *listen], env=environment, stdout=log, stderr=log)

    @property
    def log(self) -> Path:
        return self.home.prefect / LOG

    def _open_log(self) -> IO[bytes]:
        """What it prints, tracebacks of its own where a disk is full, is not what a run has to say."""
        self.log.parent.mkdir(exist_ok=True)
        is_long = self.log.exists() and self.log.stat().st_size > LONGEST_LOG
        return self.log.open("wb" if is_long else "ab")

    def _answers(self, until: float) -> bool:
        """Wait until it does; False where it found no port. Raises RuntimeError, httpx.TransportError."""
        assert self.process is not None
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() < until:
                status = self.process.poll()
                if status is not None and status != NO_PORT:
                    raise RuntimeError(f"it ended with exit status {status}")
                if status is not None:
                    return False
                try:
                    return client.get(f"{self.url}/health").raise_for_status().is_success
                except httpx.ConnectError:
                    time.sleep(LOOK_SECONDS)
                except httpx.HTTPStatusError as error:
                    raise RuntimeError(str(error)) from error
        raise RuntimeError("it took too long")

    def is_gone(self) -> bool:
        """Whether it has been started and has ended since."""
        return self.process is not None and self.process.poll() is not None

    def end(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
