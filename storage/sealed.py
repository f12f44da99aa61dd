"""JSON files that carry the digest of what they hold, so that a cut, a flipped bit or a change by hand is found out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from storage.writing import write_whole

SEAL = "seal"


class Damaged(Exception):
    """A file is not as it was written; the message says what is wrong with it."""


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write the value with its seal; a kill or a full disk leaves the file as it was before."""
    content = json.loads(json.dumps(value))  # as it will be read: tuples are lists, names are text
    write_whole(path, json.dumps({**content, SEAL: seal_of(content)}, indent=1, ensure_ascii=False))


def read_sealed(path: Path) -> dict[str, Any]:
    """The value without its seal. Raises Damaged, and FileNotFoundError where there is no such file."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except (IsADirectoryError, ValueError, RecursionError) as error:
        raise Damaged("it cannot be read as JSON") from error
    if not isinstance(content, dict) or SEAL not in content:
        raise Damaged("it bears no seal")
    seal = content.pop(SEAL)
    if seal != seal_of(content):
        raise Damaged("it does not match its seal")
    return content


def seal_of(content: dict[str, Any]) -> str:
    """Digest of JSON values, as they are read from a file; not-a-number and infinity have one too."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
