"""Stages on Dask's workers: those of this machine, or of any cluster by its scheduler's address."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from flows.engines.engine import ANSWER_SECONDS, Lost, SharedSettings, Wanted, WorkerFacts
from flows.engines.on_worker import DONE, look_around, make_here
from storage.site import Site

if TYPE_CHECKING:
    from distributed import Client, Worker

REACH_SECONDS = 30
DASK = {
    "DASK_LOGGING__DISTRIBUTED": "critical",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",  # `tries` counts
}


class DaskSettings(SharedSettings):
    """Engine `dask`: the scheduler of a cluster, or a scheduler and workers here, on loopback and encrypted."""

    kind: Literal["dask"] = "dask"
    address: str | None = Field(
        None, description="Of a scheduler that runs already; empty: one on this machine, for this run."
    )
    workers: PositiveInt = Field(2, description="Workers on this machine, where no address is given.")

    @property
    def threads_of_each(self) -> int | None:
        """Of a stage's process: workers that are started here share the cores."""
        if self.threads is None and self.address is None:
            return max(1, len(os.sched_getaffinity(0)) // self.workers)
        return self.threads

    def open(self, site: Site) -> DaskWorkers:
        """Raises ValueError where the package is not installed, or the scheduler cannot be reached."""
        for name, value in DASK.items():  # read on import, here and by workers
            os.environ.setdefault(name, value)
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise ValueError(
                "site: engine: dask is not installed; install it by pip install 'mixstitch[dask]'"
            ) from error
        if self.address is not None:
            try:
                return DaskWorkers(Client(self.address, timeout=REACH_SECONDS), site)
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"site: engine: address={self.address}: no scheduler answers within {REACH_SECONDS} s ({error})"
                ) from error
        folder = tempfile.TemporaryDirectory(prefix="mixstitch-dask-", ignore_cleanup_errors=True)
        try:
            cluster = LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                security=True,
                local_directory=folder.name,
            )
        except (OSError, RuntimeError) as error:
            folder.cleanup()
            raise ValueError(
                f"site: engine: dask: {self.workers} workers could not be started here ({error}); the same command "
                "tries again"
            ) from error
        return DaskWorkers(Client(cluster), site, (cluster.close, folder.cleanup))


class DaskWorkers:
    """A client of Dask's scheduler."""

    def __init__(self, client: Client, site: Site, ends: tuple[Callable[[], object], ...] = ()) -> None:
        """ends: what is to be called, once the client is closed, to end what was started for it."""
        self._client, self._site, self._ends = client, site, ends

    def make(self, wanted: Wanted) -> None:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        future = self._client.submit(
            _make_on_worker,
            wanted,
            key=f"{wanted.label} {wanted.key[:16]} {uuid.uuid4().hex[:8]}",
            pure=False,
            resources=dict(wanted.resources) or None,
        )
        try:
            status, words = future.result()
        except KilledWorker as error:
            raise Lost("its workers were lost one after the other") from error
        except FutureCancelledError as error:
            raise ValueError(
                f"{wanted.label}: Dask's scheduler is gone ({error}); the same command goes on from what is kept"
            ) from error
        except BaseException:
            future.cancel()
            raise
        if status != DONE:
            raise ValueError(words)

    def workers(self) -> list[WorkerFacts]:
        asked = partial(
            self._client._run, _look_around, self._site.model_dump(mode="json"), on_error="return"
        )
        try:
            told = self._client.sync(asked, callback_timeout=ANSWER_SECONDS)
        except TimeoutError as error:
            raise ValueError(
                f"site: engine: a worker says nothing within {ANSWER_SECONDS} s: Dask's own pages name those that hang"
            ) from error
        for place, facts in told.items():
            if not isinstance(facts, WorkerFacts):
                raise ValueError(
                    f"site: engine: the worker at {place} cannot be asked ({facts}): is mixstitch installed there, of "
                    "this version?"
                )
        return [facts for _, facts in sorted(told.items())]

    def offered(self) -> list[dict[str, float]]:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return [dict(worker["resources"]) for worker in workers]

    def close(self) -> None:
        self._client.close()
        for end in self._ends:
            end()


def _look_around(site: dict, dask_worker: Worker | None = None) -> WorkerFacts:
    assert dask_worker is not None  # Dask fills it in
    return look_around(site, str(dask_worker.name))


def _make_on_worker(wanted: Wanted) -> tuple[str, str]:
    from distributed import get_worker

    worker = get_worker()
    name = re.sub(r"\W+", "-", str(worker.name))  # its address, where nobody has named it
    home = Path(wanted.cache or worker.local_directory) / f"worker-{name}"
    return make_here(wanted, str(home))
