"""A Prefect server that does not come up, or is gone, is told of as such."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from prefect import flow, get_client, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.sorting import FlowRunSort

from flows.environment import prefect_settings
from flows.newest_runs import forget_older
from flows.temporary_server import MOST_TRIES, NO_PORT, TemporaryServer


@pytest.fixture
def begun() -> list[subprocess.Popen]:
    return []


@pytest.fixture
def server(home, monkeypatch, begun) -> TemporaryServer:
    """One whose process is what the test says: `server.command`."""
    server = TemporaryServer(home)
    server.url = "http://127.0.0.1:9/api"  # nothing listens there

    def begin() -> subprocess.Popen:
        begun.append(subprocess.Popen([sys.executable, "-c", server.command]))
        return begun[-1]

    monkeypatch.setattr(server, "_begin", begin)
    return server


MESSAGE = r"Prefect's server did not come up \(.*{}.*\); what it printed is in .*; the same command goes on"


def test_one_that_takes_too_long_is_one_message_and_is_ended(server, begun):
    server.command = "import time; time.sleep(100)"
    with pytest.raises(ValueError, match=MESSAGE.format("too long")):
        server.start(longest=0.3)
    assert [process.poll() is not None for process in begun] == [True]


def test_one_that_ends_as_it_begins_says_how(server, begun):
    server.command = "raise SystemExit(7)"
    with pytest.raises(ValueError, match=MESSAGE.format("exit status 7")):
        server.start()
    assert len(begun) == 1


def test_one_that_finds_no_port_is_not_begun_without_end(server, begun):
    server.command = f"raise SystemExit({NO_PORT})"
    with pytest.raises(ValueError, match=MESSAGE.format(f"ended {MOST_TRIES} times")):
        server.start()
    assert len(begun) == MOST_TRIES


def test_what_it_prints_goes_to_a_log_that_the_message_names(home, monkeypatch, capfd):
    monkeypatch.setattr("flows.temporary_server.FACTORY", "flows.guarded_server:nothing")
    server = TemporaryServer(home)
    with pytest.raises(ValueError, match=f"what it printed is in {server.log}"):
        server.start()
    assert "nothing" in server.log.read_text()
    assert capfd.readouterr() == ("", "")


def test_it_is_gone_when_it_has_ended(server):
    assert not server.is_gone()
    server.process = subprocess.Popen([sys.executable, "-c", ""])
    server.process.wait()
    assert server.is_gone()


@flow(name="nothing", persist_result=False)
def nothing(number: int) -> None:
    work()
    create_markdown_artifact(f"{number}")


@task(persist_result=False)
def work() -> None:
    pass


def test_the_newest_runs_stay_in_the_home_s_database(home):
    with prefect_settings(home), get_client(sync_client=True) as client:
        for number in range(3):
            nothing(number)
        newest, *older = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC)
        assert len(client.read_artifacts()) == 3 and len(client.read_task_runs()) == 3
        assert (forget_older(kept=1), forget_older(kept=1)) == (len(older), 0)
        assert [run.id for run in client.read_flow_runs()] == [newest.id]
        assert [one.flow_run_id for one in client.read_artifacts()] == [newest.id]
        assert [one.flow_run_id for one in client.read_task_runs()] == [newest.id]


def test_one_process_serves_all_runs_and_is_ended_with_them(home):
    server = TemporaryServer(home)
    server.start()
    process = server.process
    begun = time.monotonic()
    server.start()
    assert server.process is process and time.monotonic() - begun < 0.5
    server.end()
    assert process.poll() is not None
