"""Stages on Ray's nodes: this machine's, or those of a cluster by its address."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any, Literal

from flows.engines.engine import SharedSettings, Wanted, WorkerFacts
from flows.engines.on_worker import DONE, look_around, make_here
from storage.site import Site

OWN = {"GPU": "num_gpus", "CPU": "num_cpus", "memory": "memory"}  # what Ray has words of its own for
log = logging.getLogger("mixstitch")


class RaySettings(SharedSettings):
    """Engine `ray`: a cluster by its address, or processes of this machine."""

    kind: Literal["ray"] = "ray"

    def open(self, site: Site) -> RayWorkers:
        """Raises ValueError where the package is not installed, or the cluster cannot be reached."""
        try:
            import ray
        except ImportError as error:
            raise ValueError(
                "site: engine: ray is not installed; install it by pip install 'mixstitch[ray]'"
            ) from error
        local: dict[str, Any] = (
            {} if self.address else {"num_cpus": self.workers, "_node_ip_address": "127.0.0.1"}
        )
        try:
            ray.init(
                address=self.address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
                **local,
            )
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"site: engine: address={self.address}: no Ray cluster answers ({error})"
            ) from error
        return RayWorkers(self, site)


class RayWorkers:
    """The cluster that this process is connected to."""

    def __init__(self, settings: RaySettings, site: Site) -> None:
        self._settings, self._site = settings, site

    def make(self, wanted: Wanted) -> None:
        import ray
        from ray.exceptions import GetTimeoutError, RayError, RayTaskError

        asked = dict(wanted.resources)
        options: dict[str, Any] = {OWN[name]: asked.pop(name) for name in OWN if name in asked}
        remote = ray.remote(_make_on_worker).options(
            max_retries=self._settings.tries - 1, name=wanted.label, resources=asked or None, **options
        )
        reference = remote.remote(wanted)
        try:
            status, words = ray.get(reference)
        except RayTaskError as error:
            raise RuntimeError(str(error.cause)) from error
        except GetTimeoutError:
            raise
        except RayError as error:
            raise ValueError(
                f"{wanted.label}: begun {self._settings.tries} times, and each time its worker was lost: {error}"
            ) from error
        if status != DONE:
            raise ValueError(words)

    def workers(self) -> list[WorkerFacts]:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        site = self._site.model_dump(mode="json")
        asked = [
            ray.remote(look_around)
            .options(
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False),
            )
            .remote(site, node["NodeID"][:8])
            for node in ray.nodes()
            if node["Alive"]
        ]
        return ray.get(asked)

    def offers(self, resources: dict[str, float]) -> bool:
        import ray

        return any(
            all(node["Resources"].get(name, 0.0) >= amount for name, amount in resources.items())
            for node in ray.nodes()
            if node["Alive"]
        )

    def close(self) -> None:
        import ray

        ray.shutdown()


def _make_on_worker(wanted: Wanted) -> tuple[str, str]:
    import ray

    node = ray.get_runtime_context().get_node_id()
    home = Path(wanted.cache or tempfile.gettempdir()) / f"mixstitch-node-{node[:16]}"
    return make_here(wanted, str(home))
