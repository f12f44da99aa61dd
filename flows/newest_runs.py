"""The newest runs stay in a home's own Prefect database: it would grow with each, though all of it were cached.

Their records, results and scores are elsewhere, and stay (runs/, artifacts/, the catalog, MLflow).
"""

from __future__ import annotations

from contextlib import suppress

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

KEPT = 100


def forget_older(kept: int = KEPT) -> int:
    """Delete runs that ended before the newest `kept` began, with tasks, logs and artifacts; returns how many."""
    forgotten = 0
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, offset=kept):
            if run.state is not None and run.state.is_final():
                with suppress(ObjectNotFound):  # another run in this home was faster
                    _forget(client, FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
                    client.delete_flow_run(run.id)
                    forgotten += 1
    return forgotten


def _forget(client: SyncPrefectClient, run: FlowRunFilter) -> None:
    """Prefect deletes a run's tasks and logs with it, but not its artifacts."""
    for artifact in client.read_artifacts(flow_run_filter=run, limit=200):
        client.delete_artifact(artifact.id)
