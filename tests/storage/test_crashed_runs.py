"""What a killed run leaves behind - its record, MLflow runs, a server - is cleared away by the next one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psutil
import pytest

from flows.environment import RUN_PROCESS, prefect_settings
from flows.guarded_server import FACTORY
from flows.running import end_crashed, end_orphans
from storage.processes import is_alive, this_process
from storage.runs import (
    Run,
    crashed_runs,
    find_record,
    mark_crashed,
    read_records,
    runs_in_progress,
    write_record,
)


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
    """Run name -> status of a run and its stages in MLflow."""
    client = run.tracker.connect()
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return {mlflow_run.info.run_name: mlflow_run.info.status for mlflow_run in found}


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


def start_server(home_of_prefect: str, **marks: str) -> subprocess.Popen:
    """What looks like a server of Prefect from outside."""
    command = [sys.executable, "-c", "print(flush=True); input()", FACTORY]
    environment = {**os.environ, "PREFECT_HOME": home_of_prefect, **marks}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_only_servers_of_this_homes_dead_runs_are_ended(home, gone, tmp_path):
    here = str(home.prefect)
    servers = {
        "orphan": start_server(here, **{RUN_PROCESS: json.dumps(gone)}),
        "of a run at work": start_server(here, **{RUN_PROCESS: json.dumps(this_process())}),
        "of make ui": start_server(here),
        "of another home": start_server(str(tmp_path / "prefect"), **{RUN_PROCESS: json.dumps(gone)}),
    }
    try:
        end_orphans(home)
        assert servers["orphan"].wait(10) == -15
        assert [name for name, process in servers.items() if process.poll() is not None] == ["orphan"]
    finally:
        for process in servers.values():
            process.kill()
            process.communicate()


def test_a_server_that_prefect_starts_bears_the_name_of_its_run(home, monkeypatch):
    from prefect.settings import get_current_settings

    with prefect_settings(home):
        assert json.loads(os.environ[RUN_PROCESS]) == this_process()
        given = get_current_settings().to_environment_variables(exclude_unset=True)
        assert given["PREFECT_HOME"] == str(home.prefect)
    assert RUN_PROCESS not in os.environ
