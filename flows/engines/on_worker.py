"""What a worker does, whatever engine it belongs to: a stage in a process of its own, which it can end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import psutil
import yaml

from flows.engines.engine import Lost, Wanted, WorkerFacts
from storage.processes import end_all
from storage.provenance import environment
from storage.site import ENVIRONMENT, Site

DONE, REFUSED, TIMED_OUT = "done", "refused", "timed out"
LAST_CHARACTERS = 2000
END_SECONDS = 60.0
_MODULE = "flows.engines.one_stage"


def make_here(wanted: Wanted, home: str) -> tuple[str, str]:
    """What became of it, and in words: DONE, with the result in the store; REFUSED, as the stage says; or TIMED_OUT.

    home: for what is fetched and made here. Raises Lost where the process was killed, and RuntimeError with its last
    lines where it failed otherwise.
    """
    with _site_file(wanted.site) as site, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            env={**os.environ, **_threads(wanted), "MIXSTITCH_HOME": home, ENVIRONMENT: str(site)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        try:
            told, _ = process.communicate(json.dumps(asdict(wanted)), timeout=60 * wanted.minutes)
        except subprocess.TimeoutExpired:
            return (
                TIMED_OUT,
                f"{wanted.label}: took longer than the {wanted.minutes:g} minutes of the site's engine",
            )
        finally:
            _end(process)
        if process.returncode == 0 and told:
            status, words = json.loads(told.splitlines()[-1])
            return status, words
        if process.returncode < 0 or process.returncode == 128 + signal.SIGTERM:
            raise Lost(f"its process on {socket.gethostname()} was ended by a signal")
        said.seek(0)
        raise RuntimeError(
            f"{wanted.label}: its process on {socket.gethostname()} ended with {process.returncode}: "
            f"{said.read()[-LAST_CHARACTERS:].strip()}"
        )


def look_around(site: dict, name: str) -> WorkerFacts:
    """What this worker is, and whether it can put something into the store of the site."""
    import torch

    try:
        Site.model_validate(site).try_writing()
        store = ""
    except ValueError as error:
        store = str(error)
    return WorkerFacts(
        name=f"{socket.gethostname()} {name}",
        packages=environment()["packages"],
        commit=environment()["commit"],
        gpus=tuple(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())),
        free_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        store=store,
    )


def _threads(wanted: Wanted) -> dict[str, str]:
    """Engines set these to 1 for what runs in the worker itself."""
    threads = wanted.threads or len(os.sched_getaffinity(0))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))


def _end(process: subprocess.Popen) -> None:
    """By a signal, at which it ends what it has started; and by force where it does not hear."""
    if process.poll() is not None:
        return
    started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        end_all(started)


@contextmanager
def _site_file(site: dict) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.yaml"
        path.write_text(yaml.safe_dump(site), encoding="utf-8")
        yield path
