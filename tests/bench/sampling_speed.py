"""Text that the stage `sources` prepares a minute, by workers, in a run as a user starts it; memory beside the size.

MEGABYTES=1000 for more text. Where others use the machine too, the clock says little of workers: so beside it stands
how much CPU time they take, and how much of that is one after another (the command's and its busiest worker's), which
is the time that it takes where every worker has a core.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.memory import write_text

MEGABYTES = int(os.environ.get("MEGABYTES") or 200)
LEAST = 1  # MB, to know what the command takes without text
FILES = 16
WORKERS = (1, 2, 4)
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Measured:
    """Of one run: seconds of the stage, CPU seconds and peak MB of command and workers, digest of the corpus.

    in_turn: CPU seconds of the command and its busiest worker.
    """

    seconds: float
    cpu: float
    in_turn: float
    command: float
    workers: float
    digest: str


def measure() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for size in (LEAST, MEGABYTES // 4, MEGABYTES):
            for file in range(FILES):
                write_text(place / str(size) / f"text-{file:02}.jsonl", size / FILES, file)
        idle = _run(place, LEAST, 1).cpu
        small = _run(place, MEGABYTES // 4, 2)
        yield f"{MEGABYTES // 4} MB of text, workers=2: {_memory(small)}"
        alone: Measured | None = None
        for workers in WORKERS:
            found = _run(place, MEGABYTES, workers)
            alone = alone or found
            assert found.digest == alone.digest
            yield (
                f"{MEGABYTES} MB of text, workers={workers}: {found.seconds:.0f} s, "
                f"{60 * MEGABYTES / 1000 / found.seconds:.2f} GB/min, {alone.seconds / found.seconds:.2f} times one "
                f"worker by the clock; {found.cpu - idle:.0f} CPU s, of them "
                f"{found.in_turn - idle:.0f} in turn, {(alone.in_turn - idle) / (found.in_turn - idle):.2f} times; "
                f"{_memory(found)}"
            )


def _memory(found: Measured) -> str:
    return f"peak memory {found.command:.0f} MB, of its workers together {found.workers:.0f} MB"


def _run(place: Path, size: int, workers: int) -> Measured:
    home = place / f"home-{size}-{workers}"
    settings = {
        "sources.folder": None,
        "sources.listed": [
            {"name": "text", "reader": "jsonl", "path": str(place / str(size) / "*.jsonl")},
        ],
        "sources.workers": workers,
        "evaluation.folder": None,
        "evaluation.made_from_each": 50,
    }
    command = [sys.executable, "-m", "flows.commands.app", "run", "local-text", "--until", "sources"]
    for name, value in settings.items():
        command += ["-o", f"{name}={json.dumps(value)}"]
    environment = {**os.environ, "MIXSTITCH_HOME": str(home)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watch = _Watch(psutil.Process(process.pid))
        told = process.communicate()[0]
        cpu, in_turn = watch.end()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {told}")
    manifest = json.loads(next(home.glob("artifacts/sources/*/manifest.json")).read_text(encoding="utf-8"))
    return Measured(
        manifest["provenance"]["seconds"], cpu, in_turn, watch.command, watch.workers, manifest["digest"]
    )


class _Watch:
    """Looks at a command and its workers until it is over."""

    def __init__(self, command: psutil.Process) -> None:
        self.command = self.workers = 0.0  # MB
        self._seconds: dict[int, float] = {}
        self._of = command
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> tuple[float, float]:
        """CPU seconds of all of them; of the command and its busiest worker."""
        self._over.set()
        self._thread.join()
        command = self._seconds.pop(self._of.pid)
        workers = self._seconds.values()
        return command + sum(workers), command + max(workers, default=0.0)

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self.command = max(self.command, self._bytes(self._of) / 1e6)
                at_work = [self._bytes(child) for child in self._of.children() if _is_worker(child)]
                self.workers = max(self.workers, sum(at_work) / 1e6)
            except psutil.NoSuchProcess:
                continue

    def _bytes(self, process: psutil.Process) -> int:
        used = process.cpu_times()
        self._seconds[process.pid] = used.user + used.system
        return process.memory_info().rss


def _is_worker(process: psutil.Process) -> bool:
    return "tasks.sources.shard_workers" in process.cmdline()
