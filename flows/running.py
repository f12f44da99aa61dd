"""A run from its first record to its last, also when the one before it was killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect import get_client
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.states import Crashed

from flows.ending import cancelled_by_signals, tell_prefect
from flows.engines.making import stages_made_there
from flows.guarded_server import FACTORY
from flows.settings import Experiment
from flows.tracking_settings import tracking_uri
from storage.home import Home
from storage.processes import end_orphans, marking_children, note_of, owned, this_process
from storage.run_records import (
    COMPLETED,
    FAILED,
    STOPPED,
    crashed_runs,
    read_records,
    write_record,
)
from storage.runs import Run, mark_crashed
from storage.unrecorded import Reached
from storage.writing import writing


@contextmanager
def running(experiment: Experiment, until: str | None = None) -> Iterator[Run]:
    """A run's record, catalog entries and MLflow run, closed as completed, failed, cancelled by a signal or, after
    stage `until`, stopped.

    Before it starts, processes whose run is gone are ended, and runs whose process is gone are marked crashed.
    """
    home = Home.from_environment()
    end_orphans(home)
    context = FlowRunContext.get()
    flow_run = context.flow_run if context is not None else None
    flow_run_id = str(flow_run.id) if flow_run else None
    asked = experiment.to_json()
    with marking_children(home), stages_made_there(asked) as make_there:
        uri = tracking_uri(experiment.tracking)
        run = Run(home, experiment.name, asked, uri, flow_run_id, until, make_there)
        with cancelled_by_signals(run):
            try:
                run.update(server=_own_server(home))
                get_run_logger().info("run %s in %s", run.run_id, home.root)
                with writing(home, "the end of a crashed run"):
                    for record in end_crashed(run):
                        get_run_logger().warning(
                            "run %s had ended without a word: marked crashed", record["run_id"]
                        )
                yield run
            except Reached:
                run.finish(STOPPED)
                return
            except Exception as error:
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
    for record in read_records(run.home):
        if not record.get("prefect_told", True):
            told = tell_prefect(record["flow_run_id"], record["status"], record["error"])
            write_record(run.home, {**record, "prefect_told": told})


def _own_server(home: Home) -> dict | None:
    """The Prefect server that this process has started, if it has."""
    for process, owner in owned(home):
        if owner["process"] == this_process()["process"] and FACTORY in process.cmdline():
            return note_of(process)
    return None


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
