"""The Prefect server that a run starts for its own time: guarded, and for the processes of this run alone."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings

from flows.guarded_server import FACTORY, new_auth_string
from storage.home import Home
from storage.writing import told_refusal

NO_PORT = 3  # or it could not begin: Prefect tries another one, without end
MOST_TRIES = 5
ROOT = Path(__file__).resolve().parent.parent


@cache
def own_auth_string() -> str:
    """The same for all runs of this process: they share its server."""
    return new_auth_string()


class TemporaryServer(SubprocessASGIServer):
    """Takes the place of Prefect's own, which keeps one server a process and starts it when it is first asked."""

    tries = 0

    def start(self, timeout: int | None = None) -> None:
        """Raises ValueError where it does not come up: on a machine that is too busy, or where it cannot serve."""
        starts = not self.running
        try:
            super().start(timeout)
        except (RuntimeError, httpx.TransportError) as error:
            if starts:
                self.stop()
            raise ValueError(
                told_refusal(error, Home.of_environment())
                or f"Prefect's server did not come up ({error}); the same command goes on, on a machine less busy"
            ) from error

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--factory", FACTORY]
        listen = ["--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error", "--lifespan", "on"]
        environment = {
            **os.environ,
            "PREFECT_UI_ENABLED": "0",
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
            **get_current_settings().to_environment_variables(exclude_unset=True),
        }
        self.tries += 1
        if self.tries > MOST_TRIES:
            raise RuntimeError(f"it ended {MOST_TRIES} times as it began")
        return subprocess.Popen([*command, *listen], env=environment)

    def is_gone(self) -> bool:
        """Whether it has been started and has ended since, otherwise than for want of a port."""
        return self.server_process is not None and self.server_process.poll() not in (None, NO_PORT)
