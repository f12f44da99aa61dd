"""A Prefect server that does not come up, or is gone, is told of as such."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
from prefect.server.api.server import SubprocessASGIServer

from flows.temporary_server import MOST_TRIES, NO_PORT, TemporaryServer


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})
    return TemporaryServer()


@pytest.mark.parametrize("error", [RuntimeError("Timed out"), httpx.ReadTimeout("no answer")])
def test_one_that_does_not_come_up_is_one_message_and_is_ended(server, monkeypatch, error, home):
    def start(self, timeout):
        self.running = True
        self.server_process = process
        raise error

    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setattr(SubprocessASGIServer, "start", start)
    with pytest.raises(ValueError, match=r"Prefect's server did not come up .*the same command goes on"):
        server.start()
    assert process.poll() is not None and not server.running
    process.communicate()


@pytest.mark.parametrize(("status", "gone"), [(0, True), (1, True), (NO_PORT, False)])
def test_one_that_has_ended_is_gone_but_for_one_that_found_no_port(server, status, gone):
    assert not server.is_gone()
    server.server_process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({status})"])
    server.server_process.wait()
    assert server.is_gone() == gone


def test_one_that_ends_as_it_begins_is_not_begun_without_end(server, monkeypatch, home):
    server.port = 1
    begun = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: begun.append(1))
    with pytest.raises(RuntimeError, match=f"ended {MOST_TRIES} times"):
        for _ in range(100):
            server._run_uvicorn_command()
    assert len(begun) == MOST_TRIES
