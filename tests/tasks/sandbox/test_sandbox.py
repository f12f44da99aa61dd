"""Programs behind walls: right and wrong ones told apart, and what malicious ones try, none of which leaves a trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.sandbox.sandbox import Limits, check_sandbox, run_program, run_programs

SHORT = Limits(seconds=5)
UNSHARE = ("unshare", "-Urmn", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
pytestmark = pytest.mark.skipif(
    subprocess.run(UNSHARE, capture_output=True).returncode != 0,
    reason="this kernel lets nobody make namespaces: `unshare -Urmn mount -t tmpfs tmpfs /mnt` fails",
)
C = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"


def tells(expression: str, before: str = "") -> str:
    """What a program finds out: its last word before it ends itself."""
    return run_program(f"{before}\nraise SystemExit(str({expression}))", SHORT).said


def test_what_runs_to_its_end_is_told_from_what_does_not():
    programs = {
        "def f(n):\n    return n + 1\nassert f(1) == 2": True,
        "def f(n):\n    return n\nassert f(1) == 2": False,
        "import sys\nsys.exit(0)": False,
        "import os\nos._exit(0)": False,
        "def f(:": False,
        "import dataclasses, typing, math, collections, re, heapq, itertools": True,
        "x = 'ö\udc80'": True,
        "import os\nfor fd in range(3, 64):\n    try:\n        os.write(fd, b'0' * 32)\n"
        "    except OSError:\n        pass\nos._exit(0)": False,
        "import input_that_is_not_there": False,
        "input()": False,
    }
    before = os.umask(0o077)  # what a run of ours sets
    try:
        found = run_programs([*programs, *programs], SHORT)
    finally:
        os.umask(before)
    assert [ran.to_the_end for ran in found] == [*programs.values()] * 2
    assert found[1].said == "AssertionError" and found[3].said == "ended itself, with status 0"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("while True:\n    pass", "ran longer than 1 s"),
        ("import time\ntime.sleep(60)", "ran longer than 1 s"),
        ("x = bytearray(1 << 30)", "MemoryError"),
        (
            "file = open('x', 'wb')\nfor _ in range(64):\n    file.write(bytes(1 << 20))",
            "OSError: [Errno 27]",
        ),
        ("for n in range(64):\n    open(str(n), 'wb').write(bytes(1 << 20))", "OSError: [Errno 28] No space"),
        ("import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (999, 999))", "ValueError: not allowed"),
        (
            "import os\nforked = 0\nwhile True:\n    if os.fork() == 0:\n        while True:\n"
            "            try:\n                os.fork()\n            except OSError:\n                pass",
            "BlockingIOError: [Errno 11]",
        ),
    ],
    ids=["endless", "asleep", "memory", "long file", "many files", "own limits", "fork bomb"],
)
def test_what_it_may_take_is_bounded(program: str, said: str):
    """Of a fork bomb it is heard only because all that it left is dead: each of them holds what it is heard by."""
    began = time.monotonic()
    assert run_program(program, Limits(seconds=1)).said.startswith(said)
    assert time.monotonic() - began < 5


def test_what_it_says_is_not_kept():
    loud = "import sys\nfor _ in range(1000):\n    print('x' * 100_000)\n    print('y' * 100_000, file=sys.stderr)"
    assert run_program(loud, Limits(seconds=20)).to_the_end
    assert len(run_program(loud + "\n1 / 0", Limits(seconds=20)).said) <= 200


def test_no_file_of_this_machine_is_read_or_written(tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    mine.write_text("secret")
    for place in (mine, Path.home() / ".bashrc", "/etc/passwd", "/proc/1/environ", Path(__file__)):
        assert "Error" in tells(f"open({str(place)!r}).read()")
    for place in (mine, Path.home() / "found", "/found", "/tmp/found", f"{sys.base_prefix}/lib/found"):
        assert "Error" in tells(f"open({str(place)!r}, 'w')")
    assert mine.read_text() == "secret"
    assert (
        tells("os.listdir('.') + [open('a', 'w').write('kept'), open('a').read()]", "import os")
        == "[4, 'kept']"
    )
    assert tells("os.listdir('.')", "import os") == "[]"
    assert run_program("import tempfile\ntempfile.TemporaryFile().write(b'1')").to_the_end


def test_no_secret_and_no_process_is_seen(monkeypatch):
    monkeypatch.setenv("A_SECRET_KEY", "secret")
    assert "SECRET" not in (told := tells("dict(os.environ)", "import os")) and "HOME" in told
    assert tells("os.kill(-1, 0)", "import os").startswith("ProcessLookupError")
    assert tells("(libc.ptrace(16, 1, 0, 0), ctypes.get_errno())", C) == "(-1, 1)"


def test_nobody_is_reached_over_a_network():
    with socket.socket() as server, socket.socket(socket.AF_UNIX) as local:
        server.bind(("127.0.0.1", 0))
        local.bind(f"\0mixstitch-{os.getpid()}")
        for one in (server, local):
            one.listen()
            one.setblocking(False)
        port = server.getsockname()[1]
        assert "unreachable" in tells(f"socket.create_connection(('127.0.0.1', {port}), 1)", "import socket")
        unix = f"socket.socket(socket.AF_UNIX).connect('\\0mixstitch-{os.getpid()}')"
        assert "refused" in tells(unix, "import socket")
        for one in (server, local):
            with pytest.raises(BlockingIOError):
                one.accept()


def test_no_right_is_left_to_tear_the_walls_down():
    new_user, new_files = 0x10000000, 0x20000
    tried = [
        f"libc.unshare({new_user})",
        f"libc.unshare({new_files})",
        "libc.mount(None, b'/', None, 32 | 4096, None)",
        "libc.chroot(b'.')",
    ]
    for call in tried:
        assert tells(f"({call}, ctypes.get_errno())", C) == "(-1, 1)", call
    assert tells("(os.getuid(), os.getgid())", "import os") == "(65534, 65534)"


def test_where_walls_cannot_be_built_nothing_runs(tmp_path):
    check_sandbox()
    tried = (
        "from tasks.sandbox.sandbox import *\ntry:\n    run_program('')\nexcept NoSandbox as e:\n    print(e)"
    )
    none = "echo 0 > /proc/sys/user/max_user_namespaces"
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", f'{none}; exec "$0" -c "$1"', sys.executable, tried],
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("no sandbox can be built here: unshare: No space left"), done
