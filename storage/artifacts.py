"""Artifact store: one folder a result, addressed by its stage key, whole or absent.

A folder is built under `work/` and renamed into `artifacts/` when its manifest is written. What a stage
keeps under `progress/` while it works survives a crash and is dropped only when the manifest is written; what
it writes under `logs/` (timings, traces) is kept and verified but does not count towards the digest that
later stages build on. What is damaged is set aside and made again. Where the environment names a site, what others
have made is brought here from its store, and what is made here is put there before it counts as made.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from storage.damage import remove_tree, set_aside
from storage.fingerprint import digest_file, stage_key
from storage.home import MARK, Home
from storage.manifests import MANIFEST, digest_of_files, first_damage, read_manifest
from storage.provenance import environment
from storage.sealed import Damaged, write_sealed
from storage.site import shared_store
from storage.stages import Stage
from storage.writing import put_in_place, writing

PROGRESS = "progress"
KEY_CHARACTERS = 16
log = logging.getLogger("mixstitch.storage")


class Gone(ValueError):
    """A result has been cleaned away."""


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
        self.shared = shared_store()

    def folder(self, stage: str, name: str, key: str) -> Path:
        """Where the artifact of this key lies, or would lie."""
        return self.home.artifacts / stage / "-".join(filter(None, (name, key[:KEY_CHARACTERS])))

    def find(self, stage: str, name: str, key: str) -> Artifact | None:
        """The artifact of this key, its files verified by size and digest; None where absent or damaged."""
        found, damage = self._look(stage, name, key)
        if damage is not None:
            log.warning("%s is damaged (%s): it will be rebuilt", self.folder(stage, name, key), damage)
        return found

    def _look(self, stage: str, name: str, key: str) -> tuple[Artifact | None, str | None]:
        """The artifact of this key where it is there and whole; and what is wrong where it is there and is not."""
        folder = self.folder(stage, name, key)
        if not folder.exists():
            return None, None
        try:
            manifest = read_manifest(folder)
        except Damaged as error:
            return None, str(error)
        if manifest is None:
            return None, "its manifest is missing"
        if not _is_of(manifest, stage, name, key):
            return None, "its manifest is that of another result"
        damage = first_damage(folder, manifest)
        return (None, damage) if damage else (replace(Artifact.of_manifest(folder, manifest), hit=True), None)

    def produce(self, stage: Stage) -> Artifact:
        """The stage's artifact, built unless it is already there. Its facts are JSON values."""
        name, label = stage.name, stage.label
        key = key_of(stage)
        started = time.monotonic()
        with writing(self.home, label_of(name, label)), self._locked(name, label, key):
            folder, work = self.folder(name, label, key), self._work(name, label, key)
            found, damage = self._look(name, label, key)
            if damage is not None:
                set_aside(self.home, folder, damage, "and made again")
            found = found or self._fetch(name, label, key) or self._adopt(name, label, key)
            if found is not None:
                if self.shared is not None:
                    self.shared.publish(name, folder.name, folder)
                return replace(found, seconds=time.monotonic() - started)
            self._prepare(work, name, key)
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
                    "digest": digest_of_files(files),
                    "provenance": {
                        **environment(),
                        **made,
                        "seconds": round(seconds, 3),
                        "created": time.time(),
                    },
                }
                write_sealed(work / MANIFEST, manifest)
            except BaseException:
                with suppress(OSError):  # where the home cannot be written any more; the next run clears it
                    _clear(work)
                raise
            if self.shared is not None and not self.shared.publish(name, folder.name, work):
                theirs = self._fetch(name, label, key)  # whoever builds on this key builds on the same bytes
                if theirs is not None:
                    return replace(theirs, hit=False, seconds=seconds)
            _publish(work, folder)
            return replace(Artifact.of_manifest(folder, manifest), seconds=seconds)

    def _work(self, stage: str, name: str, key: str) -> Path:
        return self.home.work / f"{stage}-{self.folder(stage, name, key).name}"

    def _prepare(self, work: Path, stage: str, key: str) -> None:
        """An empty folder to work in, but for the progress of a run that was cut off."""
        if work.is_symlink() or (work.exists() and not _is_work(work)):
            set_aside(self.home, work, "it bears no mark of ours", "and the work begins anew")
        _clear(work)
        work.mkdir(parents=True, exist_ok=True)
        (work / MARK).write_text(f"{stage} {key}", encoding="utf-8")

    def _adopt(self, stage: str, name: str, key: str) -> Artifact | None:
        """The result of a run that was cut off between writing the manifest and moving the folder to its place."""
        folder, work = self.folder(stage, name, key), self._work(stage, name, key)
        try:
            manifest = read_manifest(work)
        except Damaged:  # it is made again
            return None
        if manifest is None or manifest["key"] != key or first_damage(work, manifest):
            return None
        _publish(work, folder)
        return replace(Artifact.of_manifest(folder, manifest), hit=True)

    def _fetch(self, stage: str, name: str, key: str) -> Artifact | None:
        """The result that another machine put into the shared store, brought here."""
        folder, work = self.folder(stage, name, key), self._work(stage, name, key)
        if self.shared is None or not self.shared.has(stage, folder.name):
            return None
        self._prepare(work, stage, key)
        manifest = self.shared.fetch(stage, folder.name, work)
        if manifest is None or not _is_of(manifest, stage, name, key):
            return None
        _publish(work, folder)
        return replace(Artifact.of_manifest(folder, manifest), hit=True)

    def elsewhere(self, stage: str, name: str, key: str) -> Artifact | None:
        """The artifact that lies in the shared store, and is not brought here yet."""
        if self.shared is None:
            return None
        folder = self.folder(stage, name, key)
        manifest = self.shared.manifest(stage, folder.name)
        if manifest is None or not _is_of(manifest, stage, name, key):
            return None
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
        found = [manifest for _, manifest in self._all_manifests() if manifest is not None]
        return sorted(found, key=lambda manifest: manifest["provenance"]["created"])

    def unreadable_manifests(self) -> list[Path]:
        """Those of results that will be made again when they are next needed."""
        return [path for path, manifest in self._all_manifests() if manifest is None]

    def _all_manifests(self) -> Iterator[tuple[Path, dict | None]]:
        for path in sorted(self.home.artifacts.glob(f"*/*/{MANIFEST}")):
            try:
                yield path, read_manifest(path.parent)
            except Damaged:
                yield path, None

    def load(self, stage: str, folder_name: str) -> Artifact:
        """The artifact in a named folder, without verifying its files (for reports on past runs).

        Raises Gone where it is not there, another ValueError where its manifest is damaged.
        """
        folder = self.home.artifacts / stage / folder_name
        try:
            manifest = read_manifest(folder)
        except Damaged as error:
            raise ValueError(f"{folder}: the artifact is damaged ({error}); run the recipe again") from error
        if manifest is None:
            raise Gone(f"{folder}: the artifact is gone; run the recipe again")
        return Artifact.of_manifest(folder, manifest)


def _is_of(manifest: dict, stage: str, name: str, key: str) -> bool:
    return (manifest["stage"], manifest["name"], manifest["key"]) == (stage, name, key)


def _list_files(folder: Path) -> dict[str, dict]:
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": digest_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in (PROGRESS, MARK)
    }


def _is_work(folder: Path) -> bool:
    """Whether we made this folder to work in; a kill may have left it without its mark, and then it is empty."""
    return folder.is_dir() and (
        (folder / MARK).is_file() or (folder / MANIFEST).is_file() or not any(folder.iterdir())
    )


def _clear(work: Path) -> None:
    """Remove all but the progress, and the mark while there is some."""
    if not work.exists():
        return
    for path in work.iterdir():
        if path.name not in (PROGRESS, MARK):
            remove_tree(path)
    if not (work / PROGRESS).exists():
        remove_tree(work)


def _publish(work: Path, folder: Path) -> None:
    """Move a whole result to its place; cut off anywhere in here, it is taken up again by `_adopt`."""
    for kept_until_now in (PROGRESS, MARK):
        remove_tree(work / kept_until_now)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():  # to nothing: what is there was found, or set aside
        folder.unlink()
    put_in_place(work, folder)
