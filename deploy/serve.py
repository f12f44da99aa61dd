"""Prefect's and MLflow's pages for one home, and a process that runs what is started there (`make ui`).

Three children: the Prefect server, the MLflow server, and `deploy.deployments`. All listen on loopback only
and keep their state in the home. While they run, `mixstitch run` in another shell uses this Prefect server.
Ctrl-C or SIGTERM ends all of them, and the runs that were started from the page.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from deploy.child_processes import MARK, end_flow_runs, processes_of
from flows import guarded_server, guarded_tracking
from flows.environment import have_prefect_database, prefect_database
from flows.guarded_server import new_auth_string, opening_url, protection
from flows.loopback import HOST, ask, free_port
from storage.home import Home
from storage.processes import OWNER, end_all, this_process
from storage.tracking import have_database
from storage.writing import write_whole, writing

BAD_INPUT = 2
PREFECT_PORT, MLFLOW_PORT = 4200, 5000
START_SECONDS = 180.0  # both databases may have to be made on a busy machine
END_SECONDS = 15.0
# flow and deployment, as Prefect names them: those that show that the process is up
DEPLOYMENTS = ("experiment/experiment", "recipe/pocket", "retraining/retraining")
NAMES = {"prefect": "the Prefect server", "mlflow": "the MLflow server"}
ROOT = Path(__file__).resolve().parent.parent
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Child:
    """A process that this one started, and where its output goes (None: to the terminal)."""

    name: str
    process: subprocess.Popen
    log: Path | None

    def check(self) -> None:
        """Raises RuntimeError with its last words where it has ended."""
        status = self.process.poll()
        if status is None:
            return
        words = "" if self.log is None else _tail(self.log)
        raise RuntimeError(f"{self.name} ended with exit status {status}{words}")


class Servers:
    """The children of one `make ui`."""

    def __init__(self, home: Home, stop: threading.Event) -> None:
        self.home = home
        self._stop = stop
        prefect_port, mlflow_port = free_port(PREFECT_PORT), free_port(MLFLOW_PORT)
        self.prefect = f"http://{HOST}:{prefect_port}"
        self.mlflow = f"http://{HOST}:{mlflow_port}"
        self.auth_string, self.mlflow_auth = new_auth_string(), new_auth_string()
        self._environment = _environment(home, self.prefect, self.auth_string)
        self._environment[guarded_tracking.TOKEN] = self.mlflow_auth
        self._commands = {
            name: [
                *("uvicorn", "--app-dir", str(ROOT), "--factory", factory, "--log-level", "warning"),
                *("--host", HOST, "--port", str(port)),
            ]
            for name, factory, port in (
                ("prefect", guarded_server.FACTORY, prefect_port),
                ("mlflow", guarded_tracking.FACTORY, mlflow_port),
            )
        }
        self._children: list[Child] = []

    def start(self) -> None:
        """Start all three, each once what it needs answers. Raises RuntimeError where one ends or stays mute."""
        have_prefect_database(self.home)
        with FileLock(self.home.locks / "mlflow.lock"):  # held while a database is made or migrated
            with writing(self.home, "MLflow's database"):
                have_database(self.home)
            for name, command in self._commands.items():
                self._spawn(NAMES[name], command, self.home.root / "ui" / f"{name}.log")
            self._wait("the MLflow server", lambda: ask(f"{self.mlflow}/health") is not None)
        self._wait("the Prefect server", lambda: ask(f"{self.prefect}/api/health") is not None)
        started = datetime.now(UTC)
        self._spawn("the process that runs flows", ["deploy.deployments"], None)
        self._wait(
            "the process that runs flows", lambda: all(self._last_polled(d) > started for d in DEPLOYMENTS)
        )

    def watch(self) -> None:
        """Return when told to stop. Raises RuntimeError where a child ends before."""
        while not self._stop.wait(1.0):
            for child in self._children:
                child.check()

    def end(self) -> None:
        """End the flow runs, then the process that serves them, then the servers."""
        end_flow_runs(self.home)
        for child in reversed(self._children):
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGINT if child.log is None else signal.SIGTERM)
            try:
                child.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        end_all(processes_of(self.home))

    def _spawn(self, name: str, module: list[str], log: Path | None) -> None:
        command = [sys.executable, "-m", *module]
        if log is None:
            process = subprocess.Popen(command, env=self._environment, start_new_session=True)
        else:
            log.parent.mkdir(exist_ok=True)
            with log.open("wb") as stream:
                process = subprocess.Popen(
                    command, env=self._environment, start_new_session=True, stdout=stream, stderr=stream
                )
        self._children.append(Child(name, process, log))

    def _wait(self, what: str, is_up: Callable[[], bool]) -> None:
        """Until it is up, or until told to stop."""
        deadline = time.monotonic() + START_SECONDS
        while not self._stop.is_set() and not is_up():
            for child in self._children:
                child.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} was not up within {START_SECONDS:.0f} s")
            self._stop.wait(0.2)

    def _last_polled(self, deployment: str) -> datetime:
        """When runs of this deployment were last looked for."""
        answer = ask(f"{self.prefect}/api/deployments/name/{deployment}", self.auth_string)
        polled = None if answer is None else json.loads(answer)["last_polled"]
        return NEVER if polled is None else datetime.fromisoformat(polled)


def _environment(home: Home, prefect_url: str, auth_string: str) -> dict[str, str]:
    """What the children are started with: this home, this server and its token, nothing that leaves the machine."""
    return {
        **os.environ,
        "MIXSTITCH_HOME": str(home.root),
        MARK: str(home.root),
        OWNER: json.dumps({**this_process(), "home": str(home.root)}),
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_API_DATABASE_CONNECTION_URL": prefect_database(home),
        "PREFECT_API_URL": f"{prefect_url}/api",
        "PREFECT_API_AUTH_STRING": auth_string,
        **protection(auth_string, prefect_url),
        "PREFECT_SERVER_UI_API_URL": "/api",  # of the page's own origin, also through a tunnel
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home.root / "ui" / "pages"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _tail(log: Path, lines: int = 15) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-lines:]
    return "; its log ({}) ends:\n{}".format(log, "\n".join(text))


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Only one a home: the lock goes with the process, however it ends. Raises ValueError where one runs."""
    lock = FileLock(home.locks / "ui.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"MIXSTITCH_HOME={home.root}: {_where_it_runs(home)}") from error
    try:
        yield
    finally:
        lock.release()


def _where_it_runs(home: Home) -> str:
    try:
        record = json.loads(home.ui_record.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return "another `make ui` is about to start for it"
    urls = ", ".join(
        f"{name} at {opening_url(url, record[f'{name}_auth'])}" for name, url in record["urls"].items()
    )
    return f"`make ui` runs already (process {record['process']}): {urls}"


def _reap(home: Home) -> None:
    """End what a killed `make ui` of this home left behind; call it under the lock."""
    home.ui_record.unlink(missing_ok=True)
    orphans = processes_of(home)
    if orphans:
        print(f"ending {len(orphans)} processes that an earlier `make ui` left behind", flush=True)
        end_flow_runs(home)
        end_all(processes_of(home))


def _write_record(home: Home, servers: Servers) -> None:
    record = {
        **this_process(),
        "prefect_api": f"{servers.prefect}/api",
        "prefect_auth": servers.auth_string,
        "mlflow_auth": servers.mlflow_auth,
        "urls": {"prefect": servers.prefect, "mlflow": servers.mlflow},
    }
    write_whole(
        home.ui_record, json.dumps(record, indent=1)
    )  # 0600 as all files of a home: it holds the token


def serve(home: Home, stop: threading.Event) -> None:
    """Serve until `stop` is set. Raises ValueError where this home is served already, RuntimeError where a
    server fails."""
    with _alone(home):
        _reap(home)
        print(f"starting the pages of {home.root}", flush=True)
        servers = Servers(home, stop)
        try:
            servers.start()
            if not stop.is_set():
                _write_record(home, servers)
                print(
                    f"Prefect  {opening_url(servers.prefect, servers.auth_string)}\n"
                    "         run `experiment` with your settings\n"
                    f"MLflow   {opening_url(servers.mlflow, servers.mlflow_auth)}\n"
                    "         experiment `mixstitch`, under 'Model training'; behind # stands the token of each page\n"
                    "Ctrl-C ends both, and the runs that use them; started again, a run goes on where it was.",
                    flush=True,
                )
            servers.watch()
        finally:
            home.ui_record.unlink(missing_ok=True)
            servers.end()


def main() -> None:
    """Exit status 0: stopped by the user; 2: something is wrong, said in one message."""
    argparse.ArgumentParser(prog="make ui", description=__doc__.splitlines()[0]).parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve(Home.from_environment(), stop)
    except (ValueError, RuntimeError) as error:
        print(f"mixstitch ui: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
