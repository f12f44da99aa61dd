"""The manifest of a result, under one seal: what it is and was made from, its facts, the digest of each file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from storage.fingerprint import digest_file, digest_value
from storage.refusals import refusals
from storage.sealed import Damaged, read_sealed

MANIFEST = "manifest.json"
LOGS = "logs/"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(BaseModel):
    """A file of a result as it was written."""

    model_config = ConfigDict(strict=True, extra="forbid")
    bytes: Annotated[int, Field(ge=0)]
    sha256: Digest


class Provenance(BaseModel):
    """When and from which code a result was made; further facts vary."""

    model_config = ConfigDict(strict=True, extra="allow")
    seconds: float
    created: float
    commit: str | None


class Manifest(BaseModel):
    """What stands in a manifest."""

    model_config = ConfigDict(strict=True, extra="forbid")
    stage: str
    name: str
    version: int
    title: str
    did: str
    key: Digest
    settings: dict[str, Any]
    inputs: dict[str, str]
    facts: dict[str, Any]
    files: dict[str, FileEntry]
    digest: Digest
    provenance: Provenance


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest in a folder; None where there is none. Raises Damaged where it is not as it was written."""
    try:
        manifest = read_sealed(folder / MANIFEST)
        Manifest.model_validate(manifest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Damaged as error:
        raise Damaged(f"its manifest: {error}") from error
    except ValidationError as error:
        raise Damaged(f"its manifest: {refusals(error)[0]}") from error
    return manifest


def first_damage(folder: Path, manifest: dict[str, Any]) -> str | None:
    """What is wrong with the first file that differs from the manifest; None where all are as written."""
    for relative, entry in manifest["files"].items():
        path = folder / relative
        if not path.is_file():
            return f"{relative} is missing"
        if path.stat().st_size != entry["bytes"]:
            return f"{relative} has {path.stat().st_size} bytes, not {entry['bytes']}"
        if digest_file(path) != entry["sha256"]:
            return f"{relative} does not match its digest"
    return None


def digest_of_files(files: dict[str, dict]) -> str:
    """The digest that later stages build on: of all files but the logs."""
    return digest_value({path: entry["sha256"] for path, entry in files.items() if not path.startswith(LOGS)})
