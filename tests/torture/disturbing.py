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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.torture.failing_judge import FailingJudge
from tests.torture.small_disk import SmallDisk

ROOT = Path(__file__).resolve().parents[2]
CONCURRENCY = 4  # questions on their way to the judge
ENTRY = """
import pathlib, time
shift, begun, real = {shift!r}, time.monotonic(), time.time
time.time = lambda: real() + (shift if time.monotonic() - begun > {after!r} else 0)
from flows.ending import end_by_signals
end_by_signals()
pathlib.Path({ready!r}).touch()
from flows.commands.app import main
main()
"""
END_SECONDS = 120.0
DONE, SAID = 0, 2  # the run ended well, or with one message
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Place:
    """Where a run is made: its home and the disk that holds it, what it runs, and where its output goes."""

    home: Path
    arguments: tuple[str, ...]
    log: Path
    judge: FailingJudge
    disk: SmallDisk | None = None
    started: list[subprocess.Popen] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    @property
    def damaged(self) -> bool:
        return bool(self.damage)

    @property
    def ready(self) -> Path:
        """There once the process that was started last hears signals as ours do."""
        return self.log.with_name(f"ready-{len(self.started)}")

    def start(
        self, shift: float = 0.0, after: float = 0.0, most_bytes: int | None = None
    ) -> subprocess.Popen:
        """shift: seconds that the clock is set by, so many seconds `after` the start. most_bytes: of any file."""

        def limit() -> None:
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        environment = {**os.environ, "MIXSTITCH_HOME": str(self.home), "PYTHONPATH": str(ROOT)}
        ready = self.log.with_name(f"ready-{len(self.started) + 1}")
        with self.log.open("ab") as stream:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    ENTRY.format(shift=shift, after=after, ready=str(ready)),
                    *self.arguments,
                ],
                cwd=ROOT,
                env=environment,
                stdout=stream,
                stderr=stream,
                preexec_fn=limit,
            )
        self.started.append(process)
        return process


Disturbance = Callable[[Place, random.Random, float], str]


def kill_parent(place: Place, draw: random.Random, usual: float) -> str:
    number = draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    process, moment = place.start(), draw.uniform(0, usual)
    status = _wait(process, moment)
    if status is not None:
        return f"{number.name} at {moment:.1f} s, too late: {_checked(status)}"
    heard = place.ready.exists()
    process.send_signal(number)
    status = process.wait(END_SECONDS)
    if number == signal.SIGKILL:
        allowed = {-number}
    elif heard:
        allowed = {128 + number}
    else:  # Python itself is starting
        allowed = {-number, 128 + number, 1}
    assert status in allowed | {DONE}, (  # it may have ended by itself in the same moment
        f"{number.name} at {moment:.1f} s: exit status {status}, not of {sorted(allowed)}"
    )
    return f"{number.name} at {moment:.1f} s: {status}"


def kill_child(place: Place, draw: random.Random, usual: float) -> str:
    process, moment = place.start(), draw.uniform(1, usual)
    if _wait(process, moment) is None and (children := psutil.Process(process.pid).children(recursive=True)):
        draw.choice(children).send_signal(draw.choice([signal.SIGKILL, signal.SIGTERM]))
    return f"child at {moment:.1f} s: {_ended(process)}"


def kill_server(place: Place, draw: random.Random, usual: float) -> str:
    """The Prefect server of a run, as soon as there is one or later."""
    process, later = place.start(), draw.uniform(0, usual / 2)
    server = None
    while server is None and _wait(process, 0.2) is None:
        server = next((one for one in _children(process) if "uvicorn" in _command(one)), None)
    if server is not None and _wait(process, later) is None:
        with suppress(psutil.NoSuchProcess):
            server.kill()
    return f"server {later:.1f} s after its start: {_ended(process)}"


def fill_the_disk(place: Place, draw: random.Random, usual: float) -> str:
    """From a moment on, where there is a disk for this; otherwise no file may be larger than so much."""
    most = int(10 ** draw.uniform(3.5, 6.5))
    if place.disk is None:
        return f"files of at most {most:,} bytes: {_ended(place.start(most_bytes=most))}"
    process, moment = place.start(), draw.uniform(0, usual)
    _wait(process, moment)
    place.disk.leave(most)
    try:
        return f"{most:,} bytes left at {moment:.1f} s: {_ended(process)}"
    finally:
        place.disk.restore()


def redirect_the_judge(place: Place, draw: random.Random, usual: float) -> str:
    process, moment = place.start(), draw.uniform(0, usual)
    _wait(process, moment)
    place.judge.redirecting = True
    try:
        return f"the judge redirects from {moment:.1f} s on: {_ended(process)}"
    finally:
        place.judge.redirecting = False


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
        place.damage.append(str(path))
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
        return f"two at once, one killed: {first.wait()}, {_ended(second)}"
    return f"two at once: {_ended(first)}, {_ended(second)}"


DISTURBANCES: tuple[Disturbance, ...] = (
    kill_parent,
    kill_parent,
    kill_child,
    kill_server,
    fill_the_disk,
    damage_files,
    damage_files,
    step_the_clock,
    start_a_second,
    redirect_the_judge,
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
    """How it ended by itself: well, or with a message."""
    return _checked(process.wait(END_SECONDS + 180))


def _checked(status: int) -> int:
    assert status in (DONE, SAID), f"exit status {status}, allowed: {DONE}, {SAID}"
    return status


def _children(process: subprocess.Popen) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def tracebacks(log: str) -> list[str]:
    """Those printed, each with the line before it, but for Python's own where it was interrupted before ours ran."""
    first, *found = log.split(TRACEBACK)
    before = [part.rstrip().rpartition("\n")[2] for part in (first, *found)]
    found = [part.split("\n20", 1)[0] for part in found]
    return [
        f"{said}: {one}" for said, one in zip(before, found, strict=False) if "KeyboardInterrupt" not in one
    ]
