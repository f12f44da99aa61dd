"""Homes of versions before results and records bore a seal: what they hold is sealed once, as it is."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from filelock import FileLock

from storage.home import EARLIER, Home
from storage.manifests import MANIFEST
from storage.run_records import RECORD
from storage.sealed import SEAL, write_sealed

log = logging.getLogger("mixstitch.storage")


def seal_earlier(home: Home) -> None:
    """Seal the manifests and records of a home that an earlier version has made; those of this one have theirs.

    One process at a time; one that is cut off is done to its end by the next.
    """
    if not _is_earlier(home):
        return
    with FileLock(home.locks / "earlier.lock"):
        if not _is_earlier(home):
            return
        sealed = 0
        for path in home.artifacts.glob(f"*/*/{MANIFEST}"):
            sealed += _seal(path, {"title": "", "did": ""})
        records = [(path, _read(path)) for path in home.runs.glob(f"*/{RECORD}")]
        known = [(path, record) for path, record in records if record is not None]
        for number, (path, _) in enumerate(sorted(known, key=lambda one: one[1].get("started", 0)), 1):
            sealed += _seal(path, {"number": number})
        home.marker.write_text("", encoding="utf-8")
    log.warning("%s is of an earlier version: %d results and records are taken over", home.root, sealed)


def _is_earlier(home: Home) -> bool:
    return home.marker.is_file() and home.marker.read_text(encoding="utf-8") == EARLIER


def _seal(path: Path, usual: dict) -> bool:
    content = _read(path)
    if content is None or SEAL in content:
        return False
    write_sealed(path, {**usual, **content})
    return True


def _read(path: Path) -> dict | None:
    """What stands in a file; None for one that cannot be read: its reader says so."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
