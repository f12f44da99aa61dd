"""Artifact store: one folder a result, addressed by its stage key, whole or absent.

A folder is built under `work/` and renamed into `artifacts/` when its manifest is written. What a stage
keeps under `progress/` while it works survives a crash and is dropped only when the manifest is written; what
it writes under `logs/` (timings, traces) is kept and verified but does not count towards the digest that
later stages build on.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import logging
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from storage.fingerprint import digest_file, digest_value, stage_key
from storage.home import Home
from storage.stages import Stage
from storage.writing import writing

MANIFEST = "manifest.json"
MANIFEST_KEYS = {"stage", "name", "key", "digest", "facts", "files", "provenance"}
PROGRESS = "progress"
KEY_CHARACTERS = 16
PACKAGES = ("torch", "transformers", "accelerate", "datasets", "lm_eval", "scikit-learn", "prefect", "mlflow")
log = logging.getLogger("mixstitch.storage")


@dataclass(frozen=True)
class Artifact:
    """A result of a stage: where it lies, what identifies it, and its few decisive numbers."""

    stage: str
    name: str
    key: str
    digest: str
    path: Path
    facts: dict
    provenance: dict
    hit: bool = False
    expected: bool = False  # not there yet: the facts are those to expect
    title: str = ""
    did: str = ""
    seconds: float = field(default=0.0, compare=False)

    @property
    def label(self) -> str:
        return label_of(self.stage, self.name)

    @classmethod
    def of_manifest(cls, folder: Path, manifest: dict) -> Artifact:
        """The artifact that a manifest describes, in the folder that it lies in or would lie in."""
        names = ("stage", "name", "key", "digest", "facts", "provenance")
        told = {name: manifest.get(name, "") for name in ("title", "did")}
        return cls(path=folder, **{name: manifest[name] for name in names}, **told)


def label_of(stage: str, name: str) -> str:
    return f"{stage}/{name}" if name else stage


def key_of(stage: Stage) -> str:
    return stage_key(stage.name, stage.version, stage.identity, stage.inputs)


class ArtifactStore:
    """Finds or builds artifacts; safe for several threads and processes in one home."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def folder(self, stage: str, name: str, key: str) -> Path:
        """Where the artifact of this key lies, or would lie."""
        return self.home.artifacts / stage / "-".join(filter(None, (name, key[:KEY_CHARACTERS])))

    def find(self, stage: str, name: str, key: str) -> Artifact | None:
        """The artifact of this key, its files verified by size and digest; None where absent or damaged."""
        folder = self.folder(stage, name, key)
        if not (folder / MANIFEST).exists():
            return None
        manifest = _read_manifest(folder / MANIFEST)
        damage = "its manifest is unreadable" if manifest is None else first_damage(folder, manifest)
        if manifest is None or damage:
            log.warning("%s is damaged (%s): it will be rebuilt", folder, damage)
            return None
        return replace(Artifact.of_manifest(folder, manifest), hit=True)

    def produce(self, stage: Stage) -> Artifact:
        """The stage's artifact, built unless it is already there. Its facts are JSON values."""
        name, label = stage.name, stage.label
        key = key_of(stage)
        started = time.monotonic()
        with writing(self.home, label_of(name, label)), self._locked(name, label, key):
            found = self.find(name, label, key) or self._adopt(name, label, key)
            if found is not None:
                return replace(found, seconds=time.monotonic() - started)
            folder, work = self.folder(name, label, key), self._work(name, label, key)
            _clear(work)
            work.mkdir(parents=True, exist_ok=True)
            try:
                facts = stage.build(work)
                made = facts.pop("provenance", {})
                seconds = time.monotonic() - started
                files = _list_files(work)
                manifest = {
                    "stage": name,
                    "name": label,
                    "version": stage.version,
                    "title": stage.title,
                    "did": stage.did,
                    "key": key,
                    "settings": stage.identity,
                    "inputs": stage.inputs,
                    "facts": facts,
                    "files": files,
                    "digest": digest_value(
                        {
                            path: entry["sha256"]
                            for path, entry in files.items()
                            if not path.startswith("logs/")
                        }
                    ),
                    "provenance": {
                        **environment(),
                        **made,
                        "seconds": round(seconds, 3),
                        "created": time.time(),
                    },
                }
                _write_manifest(work, manifest)
            except BaseException:
                _clear(work)
                raise
            _publish(work, folder)
            return replace(Artifact.of_manifest(folder, manifest), seconds=seconds)

    def _work(self, stage: str, name: str, key: str) -> Path:
        return self.home.work / f"{stage}-{self.folder(stage, name, key).name}"

    def _adopt(self, stage: str, name: str, key: str) -> Artifact | None:
        """The result of a run that was cut off between writing the manifest and moving the folder to its place."""
        folder, work = self.folder(stage, name, key), self._work(stage, name, key)
        manifest = _read_manifest(work / MANIFEST)
        if manifest is None or manifest["key"] != key or first_damage(work, manifest):
            return None
        _publish(work, folder)
        return replace(Artifact.of_manifest(folder, manifest), hit=True)

    @contextmanager
    def _locked(self, stage: str, name: str, key: str) -> Iterator[None]:
        lock = FileLock(self.home.locks / f"{stage}-{key[:KEY_CHARACTERS]}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("%s %s is being built by another run: waiting for it", stage, name)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def manifests(self) -> list[dict]:
        """Every readable manifest in the store, oldest first."""
        found = [_read_manifest(path) for path in self.home.artifacts.glob(f"*/*/{MANIFEST}")]
        return sorted((m for m in found if m is not None), key=lambda m: m["provenance"]["created"])

    def unreadable_manifests(self) -> list[Path]:
        """Those of results that will be made again when they are next needed."""
        paths = sorted(self.home.artifacts.glob(f"*/*/{MANIFEST}"))
        return [path for path in paths if _read_manifest(path) is None]

    def load(self, stage: str, folder_name: str) -> Artifact:
        """The artifact in a named folder, without verifying its files (for reports on past runs).

        Raises ValueError where it is gone or unreadable.
        """
        folder = self.home.artifacts / stage / folder_name
        manifest = _read_manifest(folder / MANIFEST)
        if manifest is None:
            raise ValueError(
                f"{folder}: the artifact is gone or its manifest is unreadable; run the recipe again"
            )
        return Artifact.of_manifest(folder, manifest)


def first_damage(folder: Path, manifest: dict) -> str | None:
    """What is wrong with the first file that differs from the manifest; None where all are as written."""
    for relative, entry in manifest["files"].items():
        path = folder / relative
        if not path.exists():
            return f"{relative} is missing"
        if path.stat().st_size != entry["bytes"]:
            return f"{relative} has {path.stat().st_size} bytes, not {entry['bytes']}"
        if digest_file(path) != entry["sha256"]:
            return f"{relative} does not match its digest"
    return None


@functools.cache
def environment() -> dict:
    """What a result was made with: package versions, code commit, machine."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    return {
        "python": platform.python_version(),
        "packages": versions,
        "commit": _git_commit(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }


def _git_commit() -> str | None:
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _read_manifest(path: Path) -> dict | None:
    """A manifest; None where there is none, or nothing that can be read as one."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.keys() >= MANIFEST_KEYS else None


def _list_files(folder: Path) -> dict[str, dict]:
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": digest_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != PROGRESS
    }


def _clear(work: Path) -> None:
    """Remove all but the progress."""
    if not work.exists():
        return
    for path in work.iterdir():
        if path.name != PROGRESS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not any(work.iterdir()):
        work.rmdir()


def _write_manifest(work: Path, manifest: dict) -> None:
    with (work / MANIFEST).open("w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=1, ensure_ascii=False)
        stream.flush()
        os.fsync(stream.fileno())


def _publish(work: Path, folder: Path) -> None:
    """Move a whole result to its place; cut off anywhere in here, it is taken up again by `_adopt`."""
    if (work / PROGRESS).exists():
        shutil.rmtree(work / PROGRESS)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    work.rename(folder)
