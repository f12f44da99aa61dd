"""Stages on Ray's nodes.

A cluster is never started here: Ray opens its ports to every network of the machine, and whoever reaches them may run
what they like. Its own manual says how to start one, and how to have it ask for a token.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from flows.engines.engine import ANSWER_SECONDS, Lost, SharedSettings, Wanted, WorkerFacts
from flows.engines.on_worker import DONE, look_around, make_here
from storage.site import Site

OWN = {"GPU": "num_gpus", "CPU": "num_cpus", "memory": "memory"}  # what Ray has words of its own for


class RaySettings(SharedSettings):
    """Engine `ray`: a cluster that runs already."""

    kind: Literal["ray"] = "ray"
    address: str = Field(description="Of the cluster, as HOST:PORT, or auto for the one of this machine.")

    @property
    def threads_of_each(self) -> int | None:
        """Of a stage's process."""
        return self.threads

    def open(self, site: Site) -> RayWorkers:
        """Raises ValueError where the package is not installed, or the cluster cannot be reached."""
        try:
            import ray
        except ImportError as error:
            raise ValueError(
                "site: engine: ray is not installed; install it by pip install 'mixstitch[ray]'"
            ) from error
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"site: engine: address={self.address}: no Ray cluster answers ({error})"
            ) from error
        return RayWorkers(site)


class RayWorkers:
    """The cluster that this process is connected to."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def make(self, wanted: Wanted) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        asked = dict(wanted.resources)
        options: dict[str, Any] = {OWN[name]: asked.pop(name) for name in OWN if name in asked}
        remote = ray.remote(_make_on_worker).options(
            max_retries=0, name=wanted.label, resources=asked or None, **options
        )
        try:
            status, words = ray.get(remote.remote(wanted))
        except RayTaskError as error:
            raise error.cause from error
        except RayError as error:
            raise Lost(str(error)) from error
        if status != DONE:
            raise ValueError(words)

    def workers(self) -> list[WorkerFacts]:
        import ray
        from ray.exceptions import RayError
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
        try:
            return ray.get(asked, timeout=ANSWER_SECONDS)
        except RayError as error:
            raise ValueError(
                f"site: engine: a node cannot be asked ({str(error).splitlines()[-1]}): is mixstitch "
                "installed there, of this version?"
            ) from error

    def offered(self) -> list[dict[str, float]]:
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def close(self) -> None:
        import ray

        ray.shutdown()


def _make_on_worker(wanted: Wanted) -> tuple[str, str]:
    import ray

    node = ray.get_runtime_context().get_node_id()
    home = Path(wanted.cache or tempfile.gettempdir()) / f"mixstitch-node-{node[:16]}"
    return make_here(wanted, str(home))
