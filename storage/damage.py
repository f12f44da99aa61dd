"""What is damaged or not ours is put out of the way by a new name, never removed, and that is said in one line."""

from __future__ import annotations

import itertools
import logging
import re
import shutil
import time
from pathlib import Path

from storage.home import MARK, Home

SET_ASIDE = re.compile(r"\d{8}-\d{6}-")
log = logging.getLogger("mixstitch.storage")


def set_aside(home: Home, path: Path, why: str, instead: str) -> Path:
    """Move a file or folder into the home's `damaged/`; returns where it lies now.

    why: what is wrong with it. instead: what happens without it. Both go into the line that is said.
    """
    if not home.damaged.exists():
        home.damaged.mkdir()
        (home.damaged / MARK).touch()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    numbered = (f"{stamp}-{number}-{path.name}" for number in itertools.count(1))
    place = next(home.damaged / name for name in numbered if not (home.damaged / name).exists())
    shutil.move(path, place)  # a rename, but where a folder of the home lies on another disk
    log.warning("%s is damaged (%s): set aside as %s, %s", path, why, place, instead)
    return place


def remove_tree(path: Path) -> None:
    """Remove a file, a folder with all in it, or a link: of a link only itself."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
