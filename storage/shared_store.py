"""Results that machines share: files by their digest, and a manifest a result, which comes last.

A file's name is its digest, so that who puts the same file twice changes nothing and no result can mix the files of
two. A result is there when its manifest is: of two workers that make one key, the first to put its manifest is
believed, and the other takes that result for its own. What is fetched is verified by size and digest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from storage.fingerprint import digest_file
from storage.manifests import MANIFEST, read_manifest
from storage.objects import Objects
from storage.sealed import Damaged

MANIFESTS, FILES = "manifests", "files"
log = logging.getLogger("mixstitch.storage")


class SharedStore:
    """The results in a place of objects."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def has(self, stage: str, folder_name: str) -> bool:
        return self.objects.size(_manifest(stage, folder_name)) is not None

    def manifest(self, stage: str, folder_name: str) -> dict[str, Any] | None:
        """The manifest of a result without its files; None where there is none, or it is damaged."""
        return self._manifest_of(_manifest(stage, folder_name))

    def _manifest_of(self, name: str) -> dict[str, Any] | None:
        content = self.objects.read(name)
        with TemporaryDirectory() as folder, suppress(Damaged):
            if content is not None:
                (Path(folder) / MANIFEST).write_bytes(content)
                return read_manifest(Path(folder))
        return None

    def fetch(self, stage: str, folder_name: str, into: Path) -> dict[str, Any] | None:
        """Fill a folder with a result and return its manifest; None where there is none, or it is damaged.

        What is damaged there is said and removed, so that the result is made again.
        """
        content = self.objects.read(_manifest(stage, folder_name))
        if content is None:
            return None
        (into / MANIFEST).write_bytes(content)
        try:
            manifest = read_manifest(into)
            assert manifest is not None
            for relative, entry in manifest["files"].items():
                if not (into / relative).resolve().is_relative_to(into.resolve()):
                    raise Damaged(f"{relative} lies outside of it")
                self._fetch_file(relative, entry, into / relative)
        except Damaged as error:
            (into / MANIFEST).unlink()
            self.objects.remove(_manifest(stage, folder_name))
            log.warning(
                "%s: %s/%s is damaged (%s): it will be made again",
                self.objects.place,
                stage,
                folder_name,
                error,
            )
            return None
        return manifest

    def _fetch_file(self, relative: str, entry: dict[str, Any], path: Path) -> None:
        name = _file(entry["sha256"])
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self.objects.get(name, path):
            raise Damaged(f"{relative} is missing")
        if path.stat().st_size != entry["bytes"] or digest_file(path) != entry["sha256"]:
            self.objects.remove(name)
            raise Damaged(f"{relative} does not match its digest")

    def publish(self, stage: str, folder_name: str, folder: Path) -> bool:
        """Put a whole result of the home there; False where another is there already by now, which stays."""
        if self.has(stage, folder_name):
            return False
        manifest = read_manifest(folder)
        assert manifest is not None
        for relative, entry in manifest["files"].items():
            name = _file(entry["sha256"])
            if self.objects.size(name) != entry["bytes"]:
                self.objects.put(name, folder / relative)
        return self.objects.create(_manifest(stage, folder_name), (folder / MANIFEST).read_bytes())

    def bytes_of(self, stage: str, folder_name: str) -> int:
        """Of all files of a result that is there."""
        manifest = self.manifest(stage, folder_name)
        return sum(entry["bytes"] for entry in manifest["files"].values()) if manifest else 0

    def manifests(self) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Every manifest by the name of its object; None where it is damaged."""
        for name in self.objects.names(MANIFESTS):
            yield name, self._manifest_of(name)


def _manifest(stage: str, folder_name: str) -> str:
    return f"{MANIFESTS}/{stage}/{folder_name}.json"


def _file(digest: str) -> str:
    return f"{FILES}/{digest[:2]}/{digest}"
