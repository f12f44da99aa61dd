"""Files inside installed Python packages, named package:NAME/FILE; the package is found, and not imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path, PurePosixPath

PREFIX = "package:"
MOST_LISTED = 5


def local_path(path_or_name: str | Path) -> Path:
    """Where it would lie on this machine: package:NAME/FILE inside that package, anything else as a path.

    Raises ValueError for a package that is not installed or does not hold the file.
    """
    text = str(path_or_name)
    return _inside(text) if text.startswith(PREFIX) else Path(text).expanduser()


def _inside(text: str) -> Path:
    name, _, inside = text.removeprefix(PREFIX).partition("/")
    within = PurePosixPath(inside)
    if not name.isidentifier() or not within.parts or within.is_absolute() or ".." in within.parts:
        raise ValueError(f"{text!r} names no file of a package; allowed: {PREFIX}NAME/FILE, without '..'")
    try:
        found = find_spec(name)
    except ValueError:  # of a module that was made without one, such as __main__
        found = None
    folders = [] if found is None else [Path(place) for place in found.submodule_search_locations or ()]
    if not folders:
        raise ValueError(
            f"{text!r}: no package {name!r} is installed in this Python; install it, or name a file"
        )
    for folder in folders:
        if (folder / within).exists():
            return folder / within
    held = sorted({path.name for folder in folders for path in folder.glob("*.gguf")})
    holds = f"; it holds {', '.join(held[:MOST_LISTED])}" if held else ""
    raise ValueError(f"{text!r}: the package {name!r} has no {inside}{holds}")
