"""`make ui`: pages on loopback, runs started from them, and nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import psutil
import pytest

from deploy.child_processes import end_all, processes_of
from flows.environment import pages_of
from flows.loopback import free_port
from flows.recipes import load_recipe
from storage.home import Home
from storage.run_records import COMPLETED, read_records
from tests.asking import FOREIGN, basic, status

TINY = Path(__file__).resolve().parents[1] / "tiny.yaml"
TRIES = 10
START_SECONDS, RUN_SECONDS, END_SECONDS = 100, 100, 60


class Pages:
    """A running `make ui`, and its server's REST API."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        environment = {**os.environ, "MIXSTITCH_HOME": str(root)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.serve"], env=environment, stdout=subprocess.PIPE, text=True
        )
        until(self._is_up, START_SECONDS, self.process)
        self.record = json.loads(self.home.ui_record.read_text(encoding="utf-8"))

    def _is_up(self) -> bool:
        written = self.home.ui_record
        return written.exists() and f'"process": {self.process.pid},' in written.read_text(encoding="utf-8")

    def get(self, path: str) -> dict:
        return self.send("GET", path)

    def send(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **basic(self.record["prefect_auth"])}
        if method != "GET":
            headers |= self.csrf_headers()
        asked = urllib.request.Request(self.record["prefect_api"] + path, data, headers, method=method)
        for _ in range(TRIES):  # 503 from Prefect's sqlite means: busy, ask again (its own clients do)
            try:
                with urllib.request.urlopen(asked, timeout=30) as response:
                    text = response.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
            time.sleep(0.5)
        raise AssertionError(f"{method} {path}: still busy")

    def csrf_headers(self) -> dict[str, str]:
        client = str(uuid.uuid4())
        return {
            "Prefect-Csrf-Client": client,
            "Prefect-Csrf-Token": self.get(f"/csrf-token?client={client}")["token"],
        }

    def start(self, deployment: str, parameters: dict) -> dict:
        deployed = self.get(f"/deployments/name/{deployment}/{deployment}")
        return self.send("POST", f"/deployments/{deployed['id']}/create_flow_run", {"parameters": parameters})

    def run(self, deployment: str, parameters: dict) -> dict:
        """Start a run of a deployment and wait for its last state; returns the flow run."""
        created = self.start(deployment, parameters)

        def ended() -> bool:
            return self.get(f"/flow_runs/{created['id']}")["state_type"] in ("COMPLETED", "FAILED", "CRASHED")

        until(ended, RUN_SECONDS, self.process)
        return self.get(f"/flow_runs/{created['id']}")

    def artifacts(self, flow_run: dict) -> dict[str, str]:
        """Key -> type of what a flow run shows."""
        wanted = {"artifacts": {"flow_run_id": {"any_": [flow_run["id"]]}}}
        return {
            artifact["key"]: artifact["type"] for artifact in self.send("POST", "/artifacts/filter", wanted)
        }

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(END_SECONDS)


def until(holds, seconds: float, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, "the pages ended"
        assert time.monotonic() < deadline, f"waited {seconds} s"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def pages(tmp_path_factory, furnish):
    served = Pages(furnish(tmp_path_factory.mktemp("ui")).root)
    yield served
    served.end()
    end_all(processes_of(served.home))


DEAF = """
import signal, sys, time
asked = []
def hear(*_):
    asked.append(1)
    if len(asked) == int(sys.argv[1]):
        print("ended as asked", flush=True)
        sys.exit(0)
signal.signal(signal.SIGTERM, hear)
print("up", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize(("needed", "said"), [(1, "ended as asked"), (2, "ended as asked"), (3, "")])
def test_who_does_not_hear_is_asked_again_before_the_end(needed, said):
    """Prefect's request to end is an exception, which Python swallows in a callback of a weak reference."""
    command = [sys.executable, "-c", DEAF, str(needed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "up\n"
            end_all([psutil.Process(process.pid)], seconds=1.0)
            assert process.wait(1) is not None
            assert process.stdout.read().strip() == said
        finally:
            process.kill()


def test_a_port_that_is_taken_is_not_chosen():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


@pytest.mark.slow
def test_everything_listens_on_loopback_only(pages):
    listening = {
        connection.laddr.ip
        for process in processes_of(pages.home)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


@pytest.mark.slow
def test_both_pages_answer_and_the_command_line_finds_the_server(pages):
    for name, url in pages.record["urls"].items():
        asked = urllib.request.Request(url, headers=basic(pages.record[f"{name}_auth"]))
        with urllib.request.urlopen(asked, timeout=30) as page:
            assert b"<html" in page.read().lower()
    assert pages_of(pages.home) == pages.record


@pytest.mark.slow
def test_nobody_else_is_let_in(pages):
    prefect, mlflow = pages.record["urls"]["prefect"], pages.record["urls"]["mlflow"]
    token, mlflow_token = basic(pages.record["prefect_auth"]), basic(pages.record["mlflow_auth"])
    search = f"{mlflow}/api/2.0/mlflow/experiments/search"
    assert status(search, mlflow_token, "POST", b'{"max_results": 1}') == 200
    for wrong in ({}, token, basic("mixstitch:guess")):
        assert status(search, wrong, "POST", b'{"max_results": 1}') == 401
    assert pages.home.ui_record.stat().st_mode & 0o777 == 0o600
    for foreign in FOREIGN:  # also where they have the token
        assert status(f"{prefect}/api/admin/version", token | foreign) == 403
        assert status(prefect, foreign) == 403
        assert status(search, mlflow_token | foreign, "POST", b'{"max_results": 1}') == 403
    for wrong in ({}, basic("mixstitch:"), basic("mixstitch:guess")):
        assert status(f"{prefect}/api/admin/version", wrong) == 401
    everything = f"{prefect}/api/deployments/filter"
    assert status(everything, token, "POST", b"{}") == 403  # without a CSRF token
    assert status(everything, token | pages.csrf_headers(), "POST", b"{}") == 200
    assert status(everything, pages.csrf_headers(), "POST", b"{}") == 401
    for process in processes_of(pages.home):
        for name in ("prefect_auth", "mlflow_auth"):
            assert not any(pages.record[name].partition(":")[2] in word for word in process.cmdline())


@pytest.mark.slow
def test_a_second_start_in_the_same_home_says_where_the_first_runs(pages):
    environment = {**os.environ, "MIXSTITCH_HOME": str(pages.home.root)}
    command = [sys.executable, "-m", "deploy.serve"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert pages.record["urls"]["prefect"] in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert pages_of(pages.home) == pages.record


@pytest.mark.slow
def test_a_run_with_changed_settings_completes_and_shows_its_tables_then_retraining_has_nothing_to_do(pages):
    tiny = load_recipe(str(TINY), ["budget.tokens=16000"]).to_json()
    flow_run = pages.run("experiment", {"experiment": tiny})
    assert flow_run["state_type"] == "COMPLETED", flow_run["state"]["message"]
    shown = pages.artifacts(flow_run)
    assert {shown[key] for key in ("sources", "utility", "scores-stitched")} == {"table"}
    (record,) = read_records(pages.home)
    assert record["status"] == COMPLETED
    assert record["flow_run_id"] == flow_run["id"]
    assert record["experiment"]["budget"]["tokens"] == 16000

    flow_run = pages.run("retraining", {"experiment": tiny})
    assert flow_run["state_type"] == "COMPLETED", flow_run["state"]["message"]
    assert pages.artifacts(flow_run) == {"sources": "table", "retraining": "markdown"}
    assert read_records(pages.home) == [record]


@pytest.mark.slow
def test_the_retraining_schedule_is_off(pages):
    (schedule,) = pages.get("/deployments/name/retraining/retraining")["schedules"]
    assert schedule["active"] is False


@pytest.mark.slow
def test_after_a_kill_the_next_start_ends_what_is_left_and_keeps_a_schedule_that_was_switched_on(pages):
    deployed = pages.get("/deployments/name/retraining/retraining")
    (schedule,) = deployed["schedules"]
    pages.send("PATCH", f"/deployments/{deployed['id']}/schedules/{schedule['id']}", {"active": True})
    long = load_recipe(str(TINY), ["budget.tokens=9000000", "mixture.epoch_cap=1000"]).to_json()
    at_work = pages.start("experiment", {"experiment": long})["id"]
    until(lambda: pages.get(f"/flow_runs/{at_work}")["state_type"] == "RUNNING", RUN_SECONDS, pages.process)
    orphans = set(processes_of(pages.home))
    pages.end(signal.SIGKILL)
    assert pages_of(pages.home) is None
    assert set(processes_of(pages.home)) == orphans

    restarted = Pages(pages.home.root)
    assert orphans.isdisjoint(processes_of(pages.home))
    assert restarted.get(f"/flow_runs/{at_work}")["state_type"] == "CRASHED"
    (schedule,) = restarted.get("/deployments/name/retraining/retraining")["schedules"]
    assert schedule["active"] is True
    assert restarted.end(signal.SIGTERM) == 0
    assert processes_of(pages.home) == []
    assert not pages.home.ui_record.exists()
