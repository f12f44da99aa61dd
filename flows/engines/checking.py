"""Whether the workers of a site's engine can make what a run asks of them: each is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from flows.engines import engine_settings
from flows.engines.engine import WorkerFacts
from flows.engines.making import check_offers
from storage.provenance import environment
from storage.site import Site
from storage.site_check import FEWEST_BYTES, Check


def check_workers(site: Site) -> Iterator[Check]:
    """The engine, one line; then each worker: versions as here, the store in reach, room on its disk, its GPUs."""
    try:
        settings = engine_settings(site)
        if settings is None:
            return
        with closing(settings.open(site)) as engine:
            found = engine.workers()
            check_offers(engine, settings)
            told = (
                f"{settings.kind}: {len(found)} workers" if found else f"{settings.kind}: no worker is there"
            )
            yield Check("engine", bool(found), told)
            for worker in found:
                yield _check_worker(worker)
    except ValueError as error:
        yield Check("engine", False, str(error))


def _check_worker(worker: WorkerFacts) -> Check:
    own = environment()["packages"]
    wrong = [
        f"{name} {worker.packages.get(name)}, here {version}: install deploy/constraints.txt there"
        for name, version in own.items()
        if worker.packages.get(name) != version
    ]
    if worker.store:
        wrong.append(worker.store)
    if worker.free_bytes < FEWEST_BYTES:
        wrong.append(f"{worker.free_bytes / 1e9:.1f} GB free; wanted: {FEWEST_BYTES / 1e9:.0f} GB")
    gpus = ", ".join(worker.gpus) or "no GPU"
    return Check("worker", not wrong, f"{worker.name}: " + ("; ".join(wrong) or f"as here; {gpus}"))
