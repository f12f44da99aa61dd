"""Stages on Dask's workers: those of this machine, or of any cluster by its scheduler's address."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from flows.engines.engine import Lost, SharedSettings, Wanted, WorkerFacts
from flows.engines.on_worker import DONE, look_around, make_here
from storage.site import Site

if TYPE_CHECKING:
    from distributed import Client, Worker

REACH_SECONDS = 30


class DaskSettings(SharedSettings):
    """Engine `dask`: the scheduler of a cluster, or a scheduler and workers here, on loopback and encrypted."""

    kind: Literal["dask"] = "dask"
    address: str | None = Field(
        None, description="Of a scheduler that runs already; empty: one on this machine, for this run."
    )
    workers: PositiveInt = Field(2, description="Workers on this machine, where no address is given.")

    def open(self, site: Site) -> DaskWorkers:
        """Raises ValueError where the package is not installed, or the scheduler cannot be reached."""
        os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")  # read on import, here and by workers
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
        except BaseException:
            future.cancel()
            raise
        if status != DONE:
            raise ValueError(words)

    def workers(self) -> list[WorkerFacts]:
        told = self._client.run(_look_around, self._site.model_dump(mode="json"))
        return [facts for _, facts in sorted(told.items())]

    def offers(self, resources: dict[str, float]) -> bool:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return any(not Counter(resources) - Counter(worker["resources"]) for worker in workers)

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
