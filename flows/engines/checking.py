"""Whether the workers of a site's engine can make what a run asks of them: each is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from flows.engines import engine_settings
from flows.engines.engine import WorkerFacts
from flows.engines.making import check_offers
from flows.environment import check_prefect
from storage.provenance import environment
from storage.site import Site
from storage.site_check import FEWEST_BYTES, Check
from storage.tracking_servers import check_server


def check_servers(site: Site) -> Iterator[Check]:
    """The Prefect and MLflow servers that the site names: each answers, and Prefect's is of this version."""
    for name, url, check in (
        ("Prefect", site.prefect_api, check_prefect),
        ("MLflow", site.mlflow, check_server),
    ):
        if url is not None:
            try:
                check(url)
            except ValueError as error:
                yield Check(name, False, str(error))
            else:
                yield Check(name, True, f"answers at {url}")


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
    if worker.commit != environment()["commit"]:
        wrong.append(
            f"our code of commit {worker.commit}, here {environment()['commit']}: install the same there"
        )
    if worker.store:
        wrong.append(worker.store)
    if worker.free_bytes < FEWEST_BYTES:
        wrong.append(f"{worker.free_bytes / 1e9:.1f} GB free; wanted: {FEWEST_BYTES / 1e9:.0f} GB")
    gpus = ", ".join(worker.gpus) or "no GPU"
    return Check("worker", not wrong, f"{worker.name}: " + ("; ".join(wrong) or f"as here; {gpus}"))
