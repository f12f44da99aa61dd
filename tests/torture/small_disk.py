"""A disk of its own for a home, where root may mount one: it can be filled as a real one is."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

USUAL_BYTES = 1 << 30


@dataclass(frozen=True)
class SmallDisk:
    """Files in memory at this folder."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> SmallDisk | None:
        """None where this process may not mount anything."""
        done = _run("mount", "-t", "tmpfs", "-o", f"size={USUAL_BYTES},mode=700", "torture", str(folder))
        return cls(folder) if done else None

    def leave(self, free_bytes: int) -> None:
        """Have so much space left from now on."""
        told = os.statvfs(self.folder)
        used = (told.f_blocks - told.f_bfree) * told.f_frsize
        self._resize(used + free_bytes)

    def restore(self) -> None:
        self._resize(USUAL_BYTES)

    def remove(self) -> None:
        _run("umount", "--lazy", str(self.folder))

    def _resize(self, size: int) -> None:
        assert _run("mount", "-o", f"remount,size={size}", str(self.folder))


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
