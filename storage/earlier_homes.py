"""Homes of versions before results and records bore a seal: what they hold is sealed once, as it is."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from storage.home import EARLIER, Home
from storage.manifests import MANIFEST
from storage.run_records import RECORD
from storage.sealed import SEAL, write_sealed

log = logging.getLogger("mixstitch.storage")


def seal_earlier(home: Home) -> None:
    """Seal the manifests and records of a home that an earlier version has made; those of this one have theirs."""
    if not home.marker.is_file() or home.marker.read_text(encoding="utf-8") != EARLIER:
        return
    sealed = 0
    for path in home.artifacts.glob(f"*/*/{MANIFEST}"):
        sealed += _seal(path, {"title": "", "did": ""})
    records = [(path, _unsealed(path)) for path in home.runs.glob(f"*/{RECORD}")]
    known = [(path, record) for path, record in records if record is not None]
    for number, (path, _) in enumerate(sorted(known, key=lambda one: one[1].get("started", 0)), 1):
        sealed += _seal(path, {"number": number})
    home.marker.write_text("", encoding="utf-8")
    log.warning("%s is of an earlier version: %d results and records are taken over", home.root, sealed)


def _seal(path: Path, usual: dict) -> bool:
    content = _unsealed(path)
    if content is None:
        return False
    write_sealed(path, {**usual, **content})
    return True


def _unsealed(path: Path) -> dict | None:
    """What stands in a file that bears no seal; None for another, also one that cannot be read: its reader says so."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return content if isinstance(content, dict) and SEAL not in content else None
