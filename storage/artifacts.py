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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from storage.artifact import Artifact, Gone, key_of, label_of
from storage.damage import set_aside
from storage.home import MARK, Home
from storage.manifests import MANIFEST, digest_of_files, first_damage, read_manifest
from storage.provenance import environment
from storage.sealed import Damaged, write_sealed
from storage.shared_progress import SharedProgress
from storage.site import shared_store
from storage.stages import Stage
from storage.work_folders import clear, files_of, is_work, put_whole
from storage.writing import writing

KEY_CHARACTERS = 16
LIGHT_BYTES = 256_000_000  # a larger result stays in the shared store until it is opened
PROGRESS_SECONDS = 60.0  # between two copies of a stage's progress in the shared store
log = logging.getLogger("mixstitch.storage")


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

    def _whole(self, stage: str, name: str, key: str) -> Artifact | None:
        """The artifact where it is there; what is damaged is set aside."""
        found, damage = self._look(stage, name, key)
        if damage is not None:
            set_aside(self.home, self.folder(stage, name, key), damage, "and made again")
        return found

    def produce(self, stage: Stage) -> Artifact:
        """The stage's artifact, built unless it is already there. Its facts are JSON values."""
        name, label = stage.name, stage.label
        key = key_of(stage)
        started = time.monotonic()
        with writing(self.home, label_of(name, label)), self._locked(name, label, key):
            folder, work = self.folder(name, label, key), self._work(name, label, key)
            found = self._whole(name, label, key)
            found = found or self._fetch(name, label, key) or self._adopt(name, label, key)
            if found is not None:
                if self.shared is not None:
                    self.shared.publish(name, folder.name, folder)
                return replace(found, seconds=time.monotonic() - started)
            self._prepare(work, name, key)
            progress = self._progress(stage, folder.name, work)
            try:
                with progress.kept(PROGRESS_SECONDS) if progress is not None else nullcontext():
                    facts = stage.build(work)
                made = facts.pop("provenance", {})
                seconds = time.monotonic() - started
                files = files_of(work)
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
                    clear(work)
                raise
            if self.shared is not None and not self.shared.publish(name, folder.name, work):
                theirs = self._fetch(name, label, key, work.with_name(f"{work.name}-theirs"))
                if theirs is not None:  # whoever builds on this key builds on the same bytes
                    clear(work)
                    return replace(theirs, hit=False, seconds=seconds)
                self.shared.publish(name, folder.name, work)
            put_whole(work, folder)
            if progress is not None:
                progress.forget()
            return replace(Artifact.of_manifest(folder, manifest), seconds=seconds)

    def _progress(self, stage: Stage, folder_name: str, work: Path) -> SharedProgress | None:
        """Of a stage that begins, with that of a machine that was cut off where it has come further.

        What other stages keep, text that is being read, is large and soon made again.
        """
        if self.shared is None or not stage.cost().is_work:
            return None
        progress = SharedProgress(self.shared.objects, stage.name, folder_name, work)
        if progress.fetch():
            log.info("%s goes on from what another machine has kept", label_of(stage.name, stage.label))
        return progress

    def _work(self, stage: str, name: str, key: str) -> Path:
        return self.home.work / f"{stage}-{self.folder(stage, name, key).name}"

    def _prepare(self, work: Path, stage: str, key: str) -> None:
        """An empty folder to work in, but for the progress of a run that was cut off."""
        if work.is_symlink() or (work.exists() and not is_work(work)):
            set_aside(self.home, work, "it bears no mark of ours", "and the work begins anew")
        clear(work)
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
        put_whole(work, folder)
        return replace(Artifact.of_manifest(folder, manifest), hit=True)

    def _fetch(self, stage: str, name: str, key: str, work: Path | None = None) -> Artifact | None:
        """The result that another machine put into the shared store, brought here by way of an empty folder."""
        folder, work = self.folder(stage, name, key), work or self._work(stage, name, key)
        if self.shared is None or not self.shared.has(stage, folder.name):
            return None
        self._prepare(work, stage, key)
        manifest = self.shared.fetch(stage, folder.name, work)
        if manifest is None or not _is_of(manifest, stage, name, key):
            return None
        put_whole(work, folder)
        return replace(Artifact.of_manifest(folder, manifest), hit=True)

    def elsewhere(self, stage: str, name: str, key: str) -> Artifact | None:
        """The artifact that lies in the shared store, and is not brought here yet."""
        if self.shared is None:
            return None
        folder = self.folder(stage, name, key)
        manifest = self.shared.manifest(stage, folder.name)
        if manifest is None or not _is_of(manifest, stage, name, key):
            return None
        return replace(
            Artifact.of_manifest(folder, manifest), hit=True, bring=lambda: self._bring(stage, name, key)
        )

    def made_there(self, stage: Stage, make: Callable[[], None]) -> Artifact:
        """The stage's artifact, which `make` has another machine make and put into the shared store.

        What is heavy stays there until it is opened. Raises ValueError where it is not there afterwards.
        """
        assert self.shared is not None
        name, label, key = stage.name, stage.label, key_of(stage)
        started = time.monotonic()
        with writing(self.home, label_of(name, label)), self._locked(name, label, key):
            found = self._whole(name, label, key)
            if found is not None:
                self.shared.publish(name, found.folder.name, found.folder)
                return replace(found, seconds=time.monotonic() - started)
            found = self.elsewhere(name, label, key)
            hit = found is not None
            if found is None:
                make()
                found = self.elsewhere(name, label, key)
            if found is None:
                raise ValueError(
                    f"{label_of(name, label)}: made elsewhere, but {self.shared.objects.place} has not got it"
                )
            if self.shared.bytes_of(name, found.folder.name) <= LIGHT_BYTES:
                self._fetch(name, label, key)
            return replace(found, hit=hit, seconds=time.monotonic() - started)

    def _bring(self, stage: str, name: str, key: str) -> None:
        with writing(self.home, label_of(stage, name)), self._locked(stage, name, key):
            if self.folder(stage, name, key).exists() or self._fetch(stage, name, key) is not None:
                return
        raise Gone(f"{label_of(stage, name)}: gone from the shared store meanwhile; run the recipe again")

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

    def all_manifests(self) -> list[dict]:
        """Those of the store, and of the shared one where there is one, oldest first, each result once."""
        found = {(m["stage"], m["key"]): m for m in self.manifests()}
        if self.shared is not None:
            for _, manifest in self.shared.manifests():
                if manifest is not None:
                    found.setdefault((manifest["stage"], manifest["key"]), manifest)
        return sorted(found.values(), key=lambda manifest: manifest["provenance"]["created"])

    def unreadable_manifests(self) -> list[str]:
        """Those of results that will be made again when they are next needed, the shared store's too."""
        here = [str(path) for path, manifest in self._all_manifests() if manifest is None]
        if self.shared is None:
            return here
        place = self.shared.objects.place
        return here + [f"{place}/{name}" for name, manifest in self.shared.manifests() if manifest is None]

    def _all_manifests(self) -> Iterator[tuple[Path, dict | None]]:
        for path in sorted(self.home.artifacts.glob(f"*/*/{MANIFEST}")):
            try:
                yield path, read_manifest(path.parent)
            except Damaged:
                yield path, None

    def load(self, stage: str, folder_name: str) -> Artifact:
        """The artifact in a named folder, without verifying its files (for reports on past runs); or in the store.

        Raises Gone where it is not there, another ValueError where its manifest is damaged.
        """
        folder = self.home.artifacts / stage / folder_name
        try:
            manifest = read_manifest(folder)
        except Damaged as error:
            raise ValueError(f"{folder}: the artifact is damaged ({error}); run the recipe again") from error
        if manifest is None and self.shared is not None:
            manifest = self.shared.manifest(stage, folder_name)
            if manifest is not None and (found := self.elsewhere(stage, manifest["name"], manifest["key"])):
                return found
        if manifest is None:
            raise Gone(f"{folder}: the artifact is gone; run the recipe again")
        return Artifact.of_manifest(folder, manifest)


def _is_of(manifest: dict, stage: str, name: str, key: str) -> bool:
    return (manifest["stage"], manifest["name"], manifest["key"]) == (stage, name, key)
