"""Stages on Dask's workers: those of this machine, or of any cluster by its scheduler's address."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flows.engines.engine import SharedSettings, Wanted, WorkerFacts
from flows.engines.on_worker import DONE, look_around, make_here
from storage.site import Site

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

REACH_SECONDS = 30
log = logging.getLogger("mixstitch")


class DaskSettings(SharedSettings):
    """Engine `dask`: the scheduler of a cluster, or a scheduler and workers here, on loopback and encrypted."""

    kind: Literal["dask"] = "dask"

    def open(self, site: Site) -> DaskWorkers:
        """Raises ValueError where the package is not installed, or the scheduler cannot be reached."""
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise ValueError(
                "site: engine: dask is not installed; install it by pip install 'mixstitch[dask]'"
            ) from error
        dask.config.set({"distributed.logging.distributed": "error"})
        cluster: LocalCluster | None = None
        if self.address is None:
            cluster = LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                security=True,
                local_directory=tempfile.mkdtemp(prefix="mixstitch-dask-"),
            )
        try:
            client = Client(cluster or self.address, timeout=REACH_SECONDS)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"site: engine: address={self.address}: no scheduler answers within {REACH_SECONDS} s ({error})"
            ) from error
        return DaskWorkers(client, cluster, self, site)


class DaskWorkers:
    """A client of Dask's scheduler."""

    def __init__(
        self, client: Client, cluster: LocalCluster | None, settings: DaskSettings, site: Site
    ) -> None:
        self._client, self._cluster, self._settings, self._site = client, cluster, settings, site

    def make(self, wanted: Wanted) -> None:
        from distributed import KilledWorker

        for attempt in range(1, self._settings.tries + 1):
            future = self._client.submit(
                _make_on_worker,
                wanted,
                key=f"{wanted.label} {wanted.key[:16]} {attempt}",
                pure=False,
                resources=dict(wanted.resources) or None,
            )
            try:
                status, words = future.result()
            except KilledWorker:
                log.warning("%s: its workers were lost; begun again", wanted.label)
                continue
            except BaseException:
                future.cancel()
                raise
            if status != DONE:
                raise ValueError(words)
            return
        raise ValueError(
            f"{wanted.label}: begun {self._settings.tries} times, its workers lost each time: is their memory enough?"
        )

    def workers(self) -> list[WorkerFacts]:
        told = self._client.run(look_around, self._site.model_dump(mode="json"), "")
        return [facts for _, facts in sorted(told.items())]

    def offers(self, resources: dict[str, float]) -> bool:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return any(not Counter(resources) - Counter(worker["resources"]) for worker in workers)

    def close(self) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _make_on_worker(wanted: Wanted) -> tuple[str, str]:
    from distributed import get_worker

    worker = get_worker()
    home = Path(wanted.cache or worker.local_directory) / f"worker-{worker.name}"
    return make_here(wanted, str(home))
