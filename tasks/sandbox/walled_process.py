"""Builds walls around a Python program and runs it behind them; a script of its own, of the standard library alone.

`sandbox.py` starts it with an empty environment and says as JSON in its argument what `Limits` and `Interpreter` hold.
It leaves for namespaces of its own (users, files, network, processes, messages, host name), where `sandbox.py` gives it
a user that is nobody. Its child, the first process there, builds a root of what the interpreter needs, read-only, and
an empty folder; gives up every right, for itself and all that come after it; and starts the program with its limits.
When that ends, so does the first process, and the kernel kills all others that are left there.
It writes to the descriptor `told`: `ready` once it has left, `walls` once they stand; the program's interpreter then
the word that its input begins with, if the program ran to its end.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

INNER_USER = 65534
WORK = "/empty"
DEVICES = ("null", "zero", "random", "urandom")
# Linux' own numbers, the same on every machine that it runs on.
NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH, AT_FDCWD, AT_RECURSIVE = 2, -100, 0x8000
ATTR_READ_ONLY, ATTR_NOSUID = 1, 2
SYS_MOUNT_SETATTR = 442
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
CAPABILITY_VERSION = 0x20080522

PROGRAM = """
import os, sys
told, given = int(sys.argv[1]), sys.stdin.buffer.read()
word, _, text = given.partition(b"\\n")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
exec(compile(text, "program", "exec"), {})
os.write(told, word)
"""

libc = ctypes.CDLL(None, use_errno=True)


def main(told: int, go: int, asked: dict[str, Any]) -> int:
    _call("prctl", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    signal.alarm(asked["seconds_in_all"] + 5)  # should nobody be left to end it
    _call("unshare", libc.unshare(NEW_NAMESPACES))
    os.write(told, b"ready\n")
    if not os.read(go, 1):
        return 1
    first = os.fork()
    if first == 0:
        try:
            _first_process(told, asked)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(125)
    os.close(told)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def _first_process(told: int, asked: dict[str, Any]) -> None:
    _build_root(asked)
    _give_up_rights()
    os.write(told, b"walls\n")
    program = os.fork()
    if program == 0:
        _run_program(told, asked)
    os.close(told)
    while True:
        ended, status = os.wait()
        if ended == program:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _build_root(asked: dict[str, Any]) -> None:
    """A root in memory with what is shown of the machine, all of it read-only, and the empty folder."""
    os.umask(0o022)
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for name in ("old", "root"):
        Path("/tmp", name).mkdir()
    os.chdir("/tmp")
    _call("pivot_root", libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b"old"))
    for place in [*asked["shown"], *(f"/dev/{name}" for name in DEVICES)]:
        _show(place)
    Path("/root" + WORK).mkdir()
    _call("umount", libc.umount2(b"/old", MNT_DETACH))
    os.chdir("/")
    attributes = (ctypes.c_uint64 * 4)(ATTR_READ_ONLY | ATTR_NOSUID, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    _call("mount_setattr", libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, attributes, size))
    room = f"size={asked['file_bytes']},nr_inodes=1000,mode=700,uid={INNER_USER},gid={INNER_USER}"
    _mount("tmpfs", "/root" + WORK, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, room)
    # From a root that is not that of its namespace nobody may make a namespace of users, and be mighty there.
    os.chroot("/root")
    os.chdir(WORK)


def _show(place: str) -> None:
    """A file, folder or link of the machine at the same place behind the walls."""
    here, there = Path(f"/old{place}"), Path(f"/root{place}")
    there.parent.mkdir(parents=True, exist_ok=True)
    if here.is_symlink():
        there.symlink_to(here.readlink())
        return
    if here.is_dir():
        there.mkdir(exist_ok=True)
    else:
        there.touch(0o444)
    _mount(str(here), str(there), None, MS_BIND | MS_REC)


def _give_up_rights() -> None:
    _call("prctl", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # those that this kernel has
    if os.getuid() == 0:
        os.setgroups([])
    os.setresgid(INNER_USER, INNER_USER, INNER_USER)
    os.setresuid(INNER_USER, INNER_USER, INNER_USER)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _call("capset", libc.capset(header, (ctypes.c_uint32 * 6)()))
    _call("prctl", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    _call("prctl", libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))  # the program may not look into this process


def _run_program(told: int, asked: dict[str, Any]) -> None:
    limits = {
        resource.RLIMIT_CPU: asked["cpu_seconds"],
        resource.RLIMIT_AS: asked["memory_bytes"],
        resource.RLIMIT_FSIZE: asked["file_bytes"],
        resource.RLIMIT_NPROC: asked["processes"],
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for limit, value in limits.items():
        most = resource.getrlimit(limit)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (value, value))
    os.set_inheritable(told, True)
    os.closerange(3, told)
    os.closerange(told + 1, 1 << 16)
    options = ["-s", "-S", "-P", "-B", "-c", PROGRAM, str(told)]
    os.execve(asked["python"], [asked["python"], *options], asked["environment"])


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    done = libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])
    _call(f"mount {target}", done)


def _call(name: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    try:
        code = main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
    except OSError as error:
        sys.exit(f"{error.strerror or error}")
    sys.exit(code)
