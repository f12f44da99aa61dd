"""Runs a Python program that nobody has read, and says whether it ran to its end; what it can reach is nothing.

Behind the walls (`walled_process.py`) there is no network, no process but its own, no file but what the interpreter
needs (read-only) and an empty folder in memory, no variable of the environment, and no right that could be used to
change that. Time, memory, files, processes and what is heard of its output are limited. Where the kernel does not let
walls be built, nothing is run.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl
from pathlib import Path

from tasks.sandbox.walled_process import INNER_USER, WORK

SCRIPT = Path(__file__).with_name("walled_process.py")
LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/etc/ld.so.cache")
ENVIRONMENT = {"HOME": WORK, "TMPDIR": WORK, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
HEARD = 1 << 16  # bytes of what it says
BUILDING = 20.0  # seconds that walls may take


@dataclass(frozen=True)
class Limits:
    """Of one program: seconds, MB of memory of each of its processes, MB of its files, processes and threads at a time.

    Raises ValueError for what is out of bounds.
    """

    seconds: int = 10
    memory_mb: int = 512
    files_mb: int = 16
    processes: int = 4

    def __post_init__(self) -> None:
        for name, least, most in (
            ("seconds", 1, 600),
            ("memory_mb", 64, 1 << 16),
            ("files_mb", 1, 1 << 12),
            ("processes", 1, 256),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {least} to {most}")


@dataclass(frozen=True)
class Ran:
    """to_the_end: whether all of the program ran; said: else why not, in a line."""

    to_the_end: bool
    said: str = ""


class NoSandbox(ValueError):
    """The walls cannot be built on this machine."""


def check_sandbox(limits: Limits = Limits()) -> None:
    """Raises NoSandbox where walls cannot be built here, or the interpreter does not start behind them."""
    ran = run_program("import json, math", limits)
    if not ran.to_the_end:
        raise NoSandbox(f"no sandbox: the interpreter does not start in it: {ran.said}")


def run_programs(programs: Sequence[str], limits: Limits = Limits()) -> list[Ran]:
    """As many side by side as there are cores; equal programs once."""
    different = list(dict.fromkeys(programs))
    with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        found = dict(zip(different, pool.map(lambda one: run_program(one, limits), different), strict=True))
    return [found[one] for one in programs]


def run_program(program: str, limits: Limits = Limits()) -> Ran:
    """Run the program's text behind walls. Raises NoSandbox where they cannot be built.

    It has run to its end when its last line has; one that ends itself before, with whatever status, has not, nor has
    one that lasts longer than it may.
    """
    word = secrets.token_hex(16).encode()
    told, tell = os.pipe()
    going, go = os.pipe()
    given = _sealed(word + b"\n" + program.encode("utf-8", "replace"))
    try:
        process = subprocess.Popen(
            [_python(), "-I", "-S", "-B", str(SCRIPT), str(tell), str(going), json.dumps(_asked(limits))],
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            pass_fds=(tell, going),
            start_new_session=True,
        )
        for descriptor in (tell, going):
            os.close(descriptor)
        try:
            ran = _followed(process, told, go, word, limits)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
            status = process.wait()
            assert process.stderr is not None
            process.stderr.close()
        return ran if ran.to_the_end or ran.said else Ran(False, f"ended itself, with status {status}")
    finally:
        for descriptor in (told, go, given):
            os.close(descriptor)


def _followed(process: subprocess.Popen, told: int, go: int, word: bytes, limits: Limits) -> Ran:
    assert process.stderr is not None
    heard = {told: b"", (errors := process.stderr.fileno()): b""}
    with selectors.DefaultSelector() as waiting:
        for descriptor in heard:
            waiting.register(descriptor, selectors.EVENT_READ)
        deadline = time.monotonic() + BUILDING
        is_ready = are_up = False
        while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                descriptor = int(key.fd)
                piece = os.read(descriptor, HEARD)
                if not piece:
                    waiting.unregister(descriptor)
                heard[descriptor] += piece[: HEARD - len(heard[descriptor])]
            if not is_ready and heard[told].startswith(b"ready\n"):
                is_ready = True
                _name_users(process.pid)
                os.write(go, b"g")
            if not are_up and heard[told].startswith(b"ready\nwalls\n"):
                are_up = True
                deadline = time.monotonic() + limits.seconds
            if are_up and heard[told].endswith(word):
                return Ran(True)
    lines = heard[errors].decode("utf-8", "replace").strip().splitlines()
    last = lines[-1][:200] if lines else ""
    if not are_up:
        raise NoSandbox(
            f"no sandbox can be built here: {last or 'it took too long'}; allowed: a kernel (5.12 or later) that lets "
            "you make namespaces of users, files, processes and networks, as many containers and some "
            "distributions do not"
        )
    if time.monotonic() >= deadline:
        return Ran(False, f"ran longer than {limits.seconds} s")
    return Ran(False, last)


def _name_users(pid: int) -> None:
    """Who is who in the namespace: nobody there is this user here, or, where this is root, nobody."""
    own, group = os.geteuid(), os.getegid()
    if own == 0:
        maps = {
            "uid_map": f"0 0 1\n{INNER_USER} {INNER_USER} 1",
            "gid_map": f"0 0 1\n{INNER_USER} {INNER_USER} 1",
        }
    else:
        maps = {"setgroups": "deny", "uid_map": f"{INNER_USER} {own} 1", "gid_map": f"{INNER_USER} {group} 1"}
    for name, text in maps.items():
        try:
            Path(f"/proc/{pid}/{name}").write_text(text)
        except OSError as error:
            raise NoSandbox(f"no sandbox can be built here: {name} of a process: {error.strerror}") from error


def _asked(limits: Limits) -> dict[str, object]:
    walls = 1 if os.geteuid() == 0 else 2  # the processes of the walls that count as the program's user
    return {
        "python": _python(),
        "shown": _shown(),
        "environment": ENVIRONMENT,
        "seconds_in_all": int(BUILDING) + limits.seconds,
        "cpu_seconds": limits.seconds,
        "memory_bytes": limits.memory_mb << 20,
        "file_bytes": limits.files_mb << 20,
        "processes": limits.processes + walls,
    }


@functools.cache
def _python() -> str:
    """The interpreter itself, not the link to it that a virtual environment holds."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


@functools.cache
def _shown() -> list[str]:
    """What the interpreter needs: itself, its library, the libraries of the system; no folder and its inside both."""
    places = [*LIBRARIES, str(Path(sys.base_prefix).resolve() / "lib"), _python()]
    kept: list[str] = []
    for place in dict.fromkeys(places):
        inside = any(Path(place).is_relative_to(folder) for folder in kept)
        if not inside and os.path.lexists(place):
            kept.append(place)
    return kept


def _sealed(content: bytes) -> int:
    """A file in memory that nobody can write to, from its beginning."""
    descriptor = os.memfd_create("program", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    fcntl(descriptor, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
