"""What a killed run leaves behind - its record, MLflow runs, a server - is cleared away by the next one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psutil
import pytest
from prefect.settings import get_current_settings

from flows.environment import prefect_settings
from flows.guarded_server import FACTORY
from flows.running import end_crashed
from flows.temporary_server import TemporaryServer
from storage.processes import OWNER, end_orphans, is_alive, this_process
from storage.run_records import crashed_runs, find_record, read_records, runs_in_progress, write_record
from storage.runs import Run, mark_crashed


@pytest.fixture
def gone() -> dict:
    """A process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    note = {"process": process.pid, "process_started": psutil.Process(process.pid).create_time()}
    process.wait()
    return note


def kill(home, run: Run, gone: dict, **changes: object) -> None:
    """Make a run's record that of a process that was killed."""
    write_record(home, {**find_record(home, run.run_id), **gone, **changes})


def statuses(run: Run) -> dict[str, str]:
    """Run id, or name of a stage -> its status in MLflow."""
    client = run.tracker.connect()
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return {one.data.tags.get("mixstitch.run", one.info.run_name): one.info.status for one in found}


def test_a_run_whose_process_is_gone_is_marked_crashed(home, gone):
    run = Run(home, "trial", {})
    kill(home, run, gone)
    (record,) = crashed_runs(home)
    assert record["run_id"] == run.run_id
    mark_crashed(home, record)
    assert find_record(home, "latest")["status"] == "crashed"
    assert crashed_runs(home) == []
    assert run.catalog.query("select status from runs")["status"].tolist() == ["crashed"]


def test_a_run_at_work_is_not_marked(home):
    run = Run(home, "trial", {})
    assert crashed_runs(home) == []
    assert [record["run_id"] for record in runs_in_progress(home)] == [run.run_id]


def test_a_process_that_has_ended_unnoticed_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    note = {"process": process.pid, "process_started": psutil.Process(process.pid).create_time()}
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert not is_alive(note)
    process.wait()
    assert is_alive(this_process())


def test_a_run_killed_before_it_knew_its_mlflow_run_is_ended_there_with_its_stages(home, gone):
    lost = Run(home, "lost", {})
    lost.log_series("seed", [{"step": 1, "loss": 2.0}])
    kill(home, lost, gone, mlflow_run_id=None)
    run = Run(home, "next", {})
    run.log_series("expert/a", [{"step": 1, "loss": 2.0}])
    assert [record["run_id"] for record in end_crashed(run)] == [lost.run_id]
    assert statuses(run) == {
        lost.run_id: "KILLED",
        "seed": "KILLED",
        run.run_id: "RUNNING",
        "expert/a": "RUNNING",
    }
    assert find_record(home, lost.run_id)["status"] == "crashed"


def test_a_crashed_run_that_mlflow_does_not_know_is_marked_all_the_same(home, gone):
    lost = Run(home, "lost", {})
    run = Run(home, "next", {})
    client = run.tracker.connect()
    client.delete_run(find_record(home, lost.run_id)["mlflow_run_id"])
    kill(home, lost, gone)
    write_record(
        home, {**find_record(home, lost.run_id), "run_id": "of-another-store", "mlflow_run_id": "f" * 32}
    )
    assert len(list(end_crashed(run))) == 2
    assert sorted(record["status"] for record in read_records(home)) == ["crashed", "crashed", "running"]


def test_a_cleaning_that_fails_is_done_again_and_holds_up_no_other(home, gone, monkeypatch):
    for name in ("first", "second"):
        kill(home, Run(home, name, {}), gone)
    run = Run(home, "next", {})
    whole = run.tracker.end_lost

    def broken(run_id):
        if "second" in run_id:
            raise ConnectionError("MLflow is away")
        whole(run_id)

    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(run.tracker, "end_lost", broken)
        list(end_crashed(run))
    assert [record["name"] for record in crashed_runs(home)] == ["second"]
    assert [record["name"] for record in end_crashed(run)] == ["second"]
    assert set(statuses(run).values()) == {"KILLED", "RUNNING"}


def test_prefect_is_told_of_an_end_once_its_server_is_there(home, monkeypatch):
    for name, status, told in (("a", "cancelled", False), ("b", "failed", False), ("c", "failed", True)):
        run = Run(home, name, {}, flow_run_id=name)
        run.finish(status, f"end of {name}")
        run.update(prefect_told=told)
    heard = []
    monkeypatch.setattr("flows.running.tell_prefect", lambda *what: heard.append(what) or True)
    for _ in range(2):
        list(end_crashed(Run(home, "next", {})))
    assert heard == [("a", "cancelled", "end of a"), ("b", "failed", "end of b")]


def start_marked(owner: dict | None, home_of_owner: str) -> subprocess.Popen:
    """A process that bears the note of another one, as a server or a trainer that this one has started does."""
    command = [sys.executable, "-c", "print(flush=True); input()", FACTORY]
    mark = {} if owner is None else {OWNER: json.dumps({**owner, "home": home_of_owner})}
    process = subprocess.Popen(
        command, env={**os.environ, **mark}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_only_what_dead_processes_of_this_home_have_started_is_ended(home, gone, tmp_path):
    here = str(home.root)
    started = {
        "orphan": start_marked(gone, here),
        "of a run at work": start_marked(this_process(), here),
        "of nobody": start_marked(None, here),
        "of another home": start_marked(gone, str(tmp_path)),
    }
    try:
        assert end_orphans(home) == 1
        assert started["orphan"].wait(10) is not None
        assert [name for name, process in started.items() if process.poll() is not None] == ["orphan"]
    finally:
        for process in started.values():
            process.kill()
            process.communicate()


def test_what_prefect_starts_bears_the_name_of_its_run(home, monkeypatch):
    given = {}

    def begin(self, longest=0.0):
        given.update(os.environ | get_current_settings().to_environment_variables(exclude_unset=True))

    monkeypatch.setattr(TemporaryServer, "start", begin)
    with prefect_settings(home):
        assert json.loads(os.environ[OWNER]) == {**this_process(), "home": str(home.root)}
    assert json.loads(given[OWNER]) == {**this_process(), "home": str(home.root)}
    assert given["PREFECT_HOME"] == str(home.prefect)
    assert OWNER not in os.environ


def test_a_clock_that_jumps_makes_no_live_process_dead(monkeypatch):
    note = json.loads(json.dumps(this_process()))
    started = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: started(process) + 3600)
    assert is_alive(note)
    assert not is_alive({**note, "start_ticks": note["start_ticks"] - 1})
    assert not is_alive({**note, "boot": "before"})


def test_where_there_is_no_proc_a_process_is_known_by_its_time(monkeypatch, tmp_path):
    monkeypatch.setattr("storage.processes.PROC", tmp_path)
    note = this_process()
    assert note.keys() == {"process", "process_started"}
    assert is_alive(note) and not is_alive({**note, "process_started": note["process_started"] - 2})
