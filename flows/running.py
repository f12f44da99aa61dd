"""A run from its first record to its last, also when the one before it was killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psutil
from prefect import get_client
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.states import Crashed

from flows.settings import Experiment
from storage.home import Home
from storage.runs import COMPLETED, FAILED, Run, mark_crashed

SERVER = "prefect.server.api.server:create_app"


@contextmanager
def running(experiment: Experiment) -> Iterator[Run]:
    """A run's record, catalog entries and MLflow run, closed as completed or failed.

    Before it starts, runs whose process is gone are marked crashed, and their orphaned servers are ended.
    """
    home = Home.from_environment()
    run = Run(home, experiment.name, experiment.to_json(), experiment.tracking.mlflow_uri)
    context = FlowRunContext.get()
    flow_run = context.flow_run if context is not None else None
    run.update(flow_run_id=str(flow_run.id) if flow_run else None, server=_own_server())
    get_run_logger().info("run %s in %s", run.run_id, home.root)
    try:
        for record in mark_crashed(home):
            get_run_logger().warning("run %s had ended without a word: marked crashed", record["run_id"])
            _end_orphan(record.get("server"))
            run.tracker.end_run(record["mlflow_run_id"], record["status"])
            _mark_flow_run_crashed(record.get("flow_run_id"))
        yield run
    except BaseException as error:
        run.finish(FAILED, f"{type(error).__name__}: {error}")
        raise
    run.finish(COMPLETED)


def _own_server() -> dict | None:
    """The Prefect server that this process has started, if it has."""
    for child in psutil.Process().children(recursive=True):
        try:
            if any(SERVER in word for word in child.cmdline()):
                return {"process": child.pid, "process_started": child.create_time()}
        except psutil.NoSuchProcess:
            continue
    return None


def _end_orphan(server: dict | None) -> None:
    if server is None:
        return
    try:
        process = psutil.Process(server["process"])
        if abs(process.create_time() - server["process_started"]) < 1.0:
            process.terminate()
    except psutil.NoSuchProcess:
        return


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
