"""A command that is sent a signal ends as such: its run cancelled, nothing left running, and the status says which."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from storage.catalog import Catalog
from storage.home import Home
from storage.processes import owned
from storage.run_records import find_record

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
WORK = """
import signal, subprocess, sys, time
from flows.ending import end_by_signals
from flows.environment import open_home, prefect_settings
if sys.argv[1] == "ours":
    end_by_signals()
else:  # as a terminal starts it: what starts tests in the background has it ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
home = open_home()
with prefect_settings(home):
    from prefect import flow, task
    from flows.running import running
    from flows.settings import Experiment

    @task
    def work():
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        print("at work", flush=True)
        time.sleep(300)

    @flow
    def long():
        with running(Experiment()) as run:
            work() if sys.argv[2] == "called" else work.submit().result()

    long()
"""


def start(*arguments: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "at work" not in (line := process.stdout.readline()):
        assert line, process.communicate()[1]
    return process


def states_of_prefect(home: Home) -> list[str]:
    with sqlite3.connect(home.prefect_database) as connection:
        return [state for (state,) in connection.execute("select state_type from flow_run")]


@pytest.mark.parametrize(
    "number, how, status", [(signal.SIGTERM, "submitted", 143), (signal.SIGINT, "called", 130)]
)
def test_a_signal_cancels_the_run_and_ends_all_that_it_started(home, number, how, status):
    process = start("ours", how)
    started = [child for child, _ in owned(home)]
    assert len(started) == 2  # Prefect's server, and what the task started
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in told
    record = find_record(home, "latest")
    assert (record["status"], record["error"]) == ("cancelled", f"ended by {number.name}")
    assert f"{number.name}: run {record['run_id']} is cancelled" in told
    assert Catalog(home).query("select status from runs")["status"].tolist() == ["cancelled"]
    assert states_of_prefect(home) == ["CANCELLED"]
    assert not [child for child in started if child.is_running()]


def test_without_its_server_a_run_fails_in_one_message(home):
    process = start("ours", "submitted")
    started = [child for child, _ in owned(home)]
    (server,) = [child for child in started if "uvicorn" in child.cmdline()]
    server.kill()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    (message,) = [line for line in told.splitlines() if "mixstitch: " in line]
    assert "Prefect's server was ended" in message and "the same command goes on" in message
    assert "Traceback" not in told
    record = find_record(home, "latest")
    assert (record["status"], record["prefect_told"]) == ("failed", False)
    assert not [child for child in started if child.is_running()]


def test_what_a_killed_run_left_is_ended_by_any_command_and_its_run_marked_by_the_next(home):
    process = start("ours", "submitted")
    process.kill()
    process.wait()  # its pipes stay open: what it left behind has them
    left = [child for child, _ in owned(home)]
    assert len(left) == 2
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "flows.commands.app", "runs"]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    assert not [child for child in left if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_in_a_process_that_is_not_ours_the_signal_goes_on_after_the_run_is_cancelled(home):
    process = start("not ours", "called")
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    record = find_record(home, "latest")
    assert (record["status"], record["error"]) == ("cancelled", "ended by KeyboardInterrupt")
    assert owned(home) == []


TAKEN_APART = """
import os, signal, sys
from flows.ending import end_by_signals

class Last:
    def __del__(self, kill=os.kill, own=os.getpid(), number=signal.SIGTERM):
        kill(own, number)

sys.kept = Last()
end_by_signals()
sys.exit(7)
"""


def test_a_signal_that_comes_when_all_is_done_changes_no_exit_status():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", TAKEN_APART], env=environment).returncode == 7
