"""Digests that say whether two results are the same: of values, of files, of folders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

CHUNK_BYTES = 1 << 20


def canonical_json(value: object) -> str:
    """JSON text that is equal exactly when the values are; raises TypeError on what has no stable text
    (sets, paths, objects) and ValueError on NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest_value(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digest_file(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()


def digest_named(folder: Path) -> str:
    """Digest of a folder's files, their names and places within it included."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_value({path.relative_to(folder).as_posix(): digest_file(path) for path in files})


def stage_key(stage: str, version: int, settings: dict, inputs: dict[str, str]) -> str:
    """What identifies a stage's result: stage, version of its code, settings, digests of its inputs."""
    return digest_value({"stage": stage, "version": version, "settings": settings, "inputs": inputs})
