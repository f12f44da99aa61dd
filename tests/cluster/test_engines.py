"""A recipe on threads and on each engine, through a bucket that fails: the same scores, also with workers killed."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from flows.engines.dask_workers import DaskSettings
from storage.shared_store import SharedStore
from storage.site import Site
from tests.s3_server import BUCKET, s3_server

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "flows.commands.app"]
FAILING = 0.3
KILLS = int(os.environ.get("KILLS") or 20)


@pytest.fixture(scope="module")
def bucket():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "for-tests")
        with s3_server() as served:
            yield served


@pytest.fixture(scope="module")
def on_threads(tmp_path_factory) -> tuple[list[str], dict]:
    folder = tmp_path_factory.mktemp("threads")
    began = time.monotonic()
    assert start(folder).wait() == 0, (folder / "log").read_text()
    print(f"\nthreads: {time.monotonic() - began:.0f} s")
    return results(folder)


def start(folder: Path, site: dict | None = None) -> subprocess.Popen:
    sited = []
    if site is not None:
        (folder / "site.yaml").write_text(yaml.safe_dump(site))
        sited = ["--site", str(folder / "site.yaml")]
    options = ["-o", "training.checkpoint_seconds=0.01"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*COMMAND, "run", str(ROOT / "tests" / "tiny.yaml"), *options, *sited],
            env=environment(folder),
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "MIXSTITCH_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}


def results(folder: Path) -> tuple[list[str], dict]:
    told = subprocess.run(
        [*COMMAND, "show", "--json"], env=environment(folder), cwd=ROOT, capture_output=True, check=True
    )
    shown = json.loads(told.stdout)
    assert shown["status"] == "completed"
    return sorted(json.dumps(row, sort_keys=True) for row in shown["scores"]), shown["forecast"]


@contextmanager
def workers_of_dask() -> Iterator[dict]:
    pytest.importorskip("distributed")
    yield {"kind": "dask", "workers": 3}


@contextmanager
def nodes_of_ray() -> Iterator[dict]:
    """A cluster of three workers, which asks for a token: its ports are open to every network of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")  # read when it is imported
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("PYTHONPATH", str(ROOT))
        ray = pytest.importorskip("ray")
        started = ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
        try:
            yield {"kind": "ray", "address": started.address_info["address"]}
        finally:
            ray.shutdown()


def site_of(engine: dict, folder: Path, url: str) -> dict:
    about = {"cache": str(folder / "cache"), "tries": 50, "threads": 1}  # as the run on threads has it
    return {"store": f"s3://{BUCKET}/{folder.name}", "endpoint": url, "engine": engine | about}


def check_store(site: dict) -> None:
    """Whole results, each once, and no progress left."""
    objects = Site.model_validate({name: site[name] for name in ("store", "endpoint")}).objects()
    store, names = SharedStore(objects), set(objects.names(""))
    for name, manifest in store.manifests():
        assert manifest is not None, f"{name} is damaged"
        for relative, entry in manifest["files"].items():
            digest = entry["sha256"]
            assert objects.size(f"files/{digest[:2]}/{digest}") == entry["bytes"], f"{name}: {relative}"
    assert not [name for name in names if name.startswith("progress")]


@pytest.mark.parametrize("engine", [workers_of_dask, nodes_of_ray])
def test_an_engine_gives_the_scores_of_threads(engine, tmp_path, bucket, on_threads):
    url, failing = bucket
    before = failing.failed
    failing.share = FAILING
    began = time.monotonic()
    try:
        with engine() as reached:
            site = site_of(reached, tmp_path, url)
            assert start(tmp_path, site).wait() == 0, (tmp_path / "log").read_text()[-3000:]
    finally:
        failing.share = 0.0
    print(f"\n{engine.__name__}: {time.monotonic() - began:.0f} s, {failing.failed - before} calls failed")
    assert results(tmp_path) == on_threads
    assert list((tmp_path / "cache").glob("*/artifacts/*/*/manifest.json")), "no stage was made by a worker"
    check_store(site)


def test_killed_workers_change_no_score(tmp_path, bucket, on_threads):
    """SIGKILL of a worker, or of the stage's process on it, at random moments until the run ends."""
    pytest.importorskip("distributed")
    site, draw, killed = (
        site_of({"kind": "dask", "workers": 3}, tmp_path, bucket[0]),
        random.Random(0),
        Counter(),
    )
    process = start(tmp_path, site)
    while process.poll() is None and sum(killed.values()) < KILLS:
        time.sleep(draw.uniform(1, 9))
        if (victim := drawn(process, draw)) is not None:
            killed[victim[0]] += 1
            victim[1].send_signal(signal.SIGKILL)
    assert process.wait() == 0, (tmp_path / "log").read_text()[-3000:]
    print(f"\nkilled: {dict(killed)}")
    assert results(tmp_path) == on_threads
    check_store(site)
    assert killed.total() > 0


def drawn(run: subprocess.Popen, draw: random.Random) -> tuple[str, psutil.Process] | None:
    """A worker of the run, or a stage's process; None before the first stage is at work, or after the end."""
    found = []
    try:
        for process in psutil.Process(run.pid).children(recursive=True):
            command = " ".join(process.cmdline())
            if "one_stage" in command:
                found.append(("stage", process))
            elif "multiprocessing" in command and "spawn_main" in command:
                found.append(("worker", process))
    except psutil.NoSuchProcess:
        return None
    kinds = sorted({kind for kind, _ in found})
    if "stage" not in kinds:
        return None
    kind = draw.choice(kinds)
    return draw.choice([one for one in found if one[0] == kind])


def test_a_worker_that_hangs_does_not_hang_who_asks(tmp_path, monkeypatch):
    with closing(DaskSettings(workers=2).open(Site(store=str(tmp_path)))) as engine:
        assert len(engine.workers()) == 2
        monkeypatch.setattr("flows.engines.dask_workers.ANSWER_SECONDS", 3)
        stopped = psutil.Process(next(iter(engine._client.run(os.getpid).values())))
        stopped.suspend()
        try:
            with pytest.raises(ValueError, match="says nothing within 3 s"):
                engine.workers()
        finally:
            stopped.resume()
