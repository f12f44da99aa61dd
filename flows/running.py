"""A run from its first record to its last, also when the one before it was killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import psutil
from prefect import get_client
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.states import Crashed

from flows.environment import RUN_PROCESS
from flows.guarded_server import FACTORY
from flows.settings import Experiment
from storage.home import Home
from storage.processes import is_alive
from storage.runs import COMPLETED, FAILED, STOPPED, Run, crashed_runs, mark_crashed
from storage.unrecorded import Reached
from storage.writing import writing


@contextmanager
def running(experiment: Experiment, until: str | None = None) -> Iterator[Run]:
    """A run's record, catalog entries and MLflow run, closed as completed, failed or, after stage `until`, stopped.

    Before it starts, servers whose run is gone are ended, and runs whose process is gone are marked crashed.
    """
    home = Home.from_environment()
    end_orphans(home)
    context = FlowRunContext.get()
    flow_run = context.flow_run if context is not None else None
    flow_run_id = str(flow_run.id) if flow_run else None
    run = Run(home, experiment.name, experiment.to_json(), experiment.tracking.mlflow_uri, flow_run_id, until)
    try:
        run.update(server=_own_server(home))
        get_run_logger().info("run %s in %s", run.run_id, home.root)
        with writing(home, "the end of a crashed run"):
            for record in end_crashed(run):
                get_run_logger().warning("run %s had ended without a word: marked crashed", record["run_id"])
        yield run
    except Reached:
        run.finish(STOPPED)
        return
    except BaseException as error:
        run.finish(FAILED, f"{type(error).__name__}: {error}")
        raise
    run.finish(COMPLETED)


def end_crashed(run: Run) -> Iterator[dict]:
    """Close runs whose process is gone wherever they are known, their own record last, and yield the records.

    One that is cut off is done again by the next run.
    """
    for record in crashed_runs(run.home):
        run.tracker.end_lost(record["run_id"])
        _mark_flow_run_crashed(record["flow_run_id"])
        mark_crashed(run.home, record)
        yield record


def end_orphans(home: Home) -> None:
    """End the servers that Prefect started for runs of this home whose process is gone."""
    for server, owner in _servers_of_runs(home):
        if not is_alive(owner):
            with suppress(psutil.NoSuchProcess):
                server.terminate()


def _own_server(home: Home) -> dict | None:
    """The Prefect server that this process has started, if it has."""
    for server, owner in _servers_of_runs(home):
        if owner["process"] == os.getpid() and is_alive(owner):
            return {"process": server.pid, "process_started": server.create_time()}
    return None


def _servers_of_runs(home: Home) -> Iterator[tuple[psutil.Process, dict]]:
    """Every server that Prefect started for a run of this home, and the process of that run.

    The one of `make ui` is none of them: it is started outside of a run, and bears no name of one.
    """
    for process in psutil.process_iter():
        try:
            named = process.environ() if FACTORY in process.cmdline() else {}
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if RUN_PROCESS in named and named.get("PREFECT_HOME") == str(home.prefect):
            yield process, json.loads(named[RUN_PROCESS])


def _mark_flow_run_crashed(flow_run_id: str | None) -> None:
    if flow_run_id is None:
        return
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            flow_run = client.read_flow_run(UUID(flow_run_id))
        except ObjectNotFound:  # it was of a server that this home no longer has
            return
        if flow_run.state is None or not flow_run.state.is_final():
            client.set_flow_run_state(flow_run.id, Crashed(message="its process ended"), force=True)
