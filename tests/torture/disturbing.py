"""What befalls a run under torture: each disturbance is drawn from a seed, so that a failure can be had again."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
ENTRY = """
import time
shift, begun, real = {shift!r}, time.monotonic(), time.time
time.time = lambda: real() + (shift if time.monotonic() - begun > {after!r} else 0)
from flows.commands.app import main
main()
"""
END_SECONDS = 120.0


@dataclass(frozen=True)
class Place:
    """Where a run is made: its home, what it runs, and where its output goes."""

    home: Path
    arguments: tuple[str, ...]
    log: Path

    def start(
        self, shift: float = 0.0, after: float = 0.0, most_bytes: int | None = None
    ) -> subprocess.Popen:
        """shift: seconds that the clock is set by, so many seconds `after` the start. most_bytes: of any file."""

        def limit() -> None:
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        environment = {**os.environ, "MIXSTITCH_HOME": str(self.home), "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as stream:
            return subprocess.Popen(
                [sys.executable, "-c", ENTRY.format(shift=shift, after=after), *self.arguments],
                cwd=ROOT,
                env=environment,
                stdout=stream,
                stderr=stream,
                preexec_fn=limit,
            )


Disturbance = Callable[[Place, random.Random, float], str]


def kill_parent(place: Place, draw: random.Random, usual: float) -> str:
    number = draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    process, moment = place.start(), draw.uniform(0, usual)
    status = _wait(process, moment)
    if status is None:
        process.send_signal(number)
        status = process.wait(END_SECONDS)
        expected = -9 if number == signal.SIGKILL else 128 + number
        before_ours = -number  # while Python itself was starting
        assert status in (expected, before_ours, 0, 1), (
            f"{number.name} at {moment:.1f} s: exit status {status}"
        )
    return f"{number.name} at {moment:.1f} s: {status}"


def kill_child(place: Place, draw: random.Random, usual: float) -> str:
    process, moment = place.start(), draw.uniform(3, usual)
    if _wait(process, moment) is None:
        children = psutil.Process(process.pid).children(recursive=True)
        for child in children[:1]:
            child.send_signal(draw.choice([signal.SIGKILL, signal.SIGTERM]))
    return f"child at {moment:.1f} s: {_ended(process)}"


def fill_the_disk(place: Place, draw: random.Random, usual: float) -> str:
    most = int(10 ** draw.uniform(3.5, 6.5))
    status = _ended(place.start(most_bytes=most))
    return f"files of at most {most:,} bytes: {status}"


def damage_files(place: Place, draw: random.Random, usual: float) -> str:
    """Flip a bit of, or cut, one to four files of a run that ended or was killed."""
    told = kill_parent(place, draw, 2 * usual)
    files = sorted(path for path in place.home.rglob("*") if path.is_file() and path.stat().st_size)
    kinds = sorted({_kind(path, place.home) for path in files})
    for kind in draw.sample(kinds, min(len(kinds), draw.randint(1, 4))):
        path = draw.choice([path for path in files if _kind(path, place.home) == kind])
        content = bytearray(path.read_bytes())
        if draw.random() < 0.5:
            position = draw.randrange(len(content))
            content[position] ^= 1 << draw.randrange(8)
            told += f"; flipped {path.relative_to(place.home)} at {position}"
        else:
            content = content[: draw.randrange(len(content))]
            told += f"; cut {path.relative_to(place.home)} to {len(content)}"
        path.write_bytes(content)
    return told


def step_the_clock(place: Place, draw: random.Random, usual: float) -> str:
    shift = draw.choice([-400 * 86_400.0, -3600.0, 3600.0, 400 * 86_400.0])
    after = draw.uniform(0, usual)
    return f"clock by {shift:+,.0f} s after {after:.1f} s: {_ended(place.start(shift=shift, after=after))}"


def start_a_second(place: Place, draw: random.Random, usual: float) -> str:
    first = place.start()
    time.sleep(draw.uniform(0, usual / 2))
    second = place.start()
    if draw.random() < 0.5 and _wait(first, draw.uniform(0, usual)) is None:
        first.kill()
    return f"two at once: {_ended(first)}, {_ended(second)}"


DISTURBANCES: tuple[Disturbance, ...] = (
    kill_parent,
    kill_parent,
    kill_child,
    fill_the_disk,
    damage_files,
    damage_files,
    step_the_clock,
    start_a_second,
)


def _kind(path: Path, home: Path) -> tuple[str, ...]:
    """Files of one kind: the same folder of the home, and the same name or ending."""
    relative = path.relative_to(home)
    return (*relative.parts[: 2 if len(relative.parts) > 1 else 0], path.suffix or path.name)


def _wait(process: subprocess.Popen, seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _ended(process: subprocess.Popen) -> int:
    return process.wait(END_SECONDS + 180)
