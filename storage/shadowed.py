"""Whether Python finds this project's packages, or folders of the same names that stand in front of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

OURS = ("flows", "tasks", "models", "storage")


def check_not_shadowed() -> None:
    """ImportError naming the folder that Python would read in place of a package of ours."""
    home = Path(__file__).resolve().parent.parent
    for name in OURS:
        spec = importlib.util.find_spec(name)
        places = (spec and spec.submodule_search_locations) or []
        others = [place for place in places if Path(place).resolve().parent != home]
        if others:
            raise ImportError(
                f"{others[0]} stands in front of the package {name!r} of mixstitch in {home}; allowed: another "
                "name for it, or Python started in another folder and without it in PYTHONPATH"
            )
