"""Named bytes in a place that several machines share: in a folder, or (`bucket_objects`) in a bucket."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from storage.writing import REFUSALS, put_in_place


class Unreachable(ValueError):
    """The place cannot be read or written; the message says which, why, and what to do."""


class Objects(Protocol):
    """Bytes by name; names are relative paths. What is put is there whole, or as it was before.

    Every method raises Unreachable where the place cannot be reached, or refuses.
    """

    place: str

    def size(self, name: str) -> int | None:
        """In bytes; None where there is none of this name."""
        ...

    def modified(self, name: str) -> float:
        """When it was put, in seconds since 1970, by the clock of the place."""
        ...

    def read(self, name: str) -> bytes | None:
        """All of it; None where there is none of this name."""
        ...

    def get(self, name: str, path: Path) -> bool:
        """Into a file; False where there is none of this name. A full disk here is OSError, as of any file."""
        ...

    def put(self, name: str, path: Path) -> None:
        """From a file, in place of what had the name."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """False where there is one of this name already, which stays: of several who try, one succeeds."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Of all under a folder, in order."""
        ...

    def remove(self, name: str) -> None:
        """Nothing where there is none of this name."""
        ...


class FolderObjects:
    """Objects as files of a folder that all machines see, such as one on NFS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = str(folder)

    def size(self, name: str) -> int | None:
        with self._reached():
            path = self.folder / name
            return path.stat().st_size if path.is_file() else None

    def modified(self, name: str) -> float:
        with self._reached():
            return (self.folder / name).stat().st_mtime

    def read(self, name: str) -> bytes | None:
        with self._reached():
            path = self.folder / name
            return path.read_bytes() if path.is_file() else None

    def get(self, name: str, path: Path) -> bool:
        with self._reached(writes_here=True):
            if not (self.folder / name).is_file():
                return False
            shutil.copyfile(self.folder / name, path)
            return True

    def put(self, name: str, path: Path) -> None:
        with self._reached(), self._begun(name) as begun:
            shutil.copyfile(path, begun)
            put_in_place(begun, self.folder / name)

    def create(self, name: str, content: bytes) -> bool:
        with self._reached(), self._begun(name) as begun:
            begun.write_bytes(content)
            try:
                os.link(begun, self.folder / name)
            except FileExistsError:
                return False
            return True

    def names(self, prefix: str) -> list[str]:
        with self._reached():
            found = (path for path in (self.folder / prefix).rglob("*") if path.is_file())
            return sorted(path.relative_to(self.folder).as_posix() for path in found if path.suffix != ".tmp")

    def remove(self, name: str) -> None:
        with self._reached():
            (self.folder / name).unlink(missing_ok=True)
            for folder in (self.folder / name).relative_to(self.folder).parents:
                with suppress(OSError):  # it holds something else
                    (self.folder / folder).rmdir()

    @contextmanager
    def _begun(self, name: str) -> Iterator[Path]:
        """A file beside the one of this name, which is gone afterwards."""
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        begun = place.with_name(f"{place.name}.{uuid.uuid4().hex}.tmp")  # threads put one file too
        try:
            yield begun
        finally:
            begun.unlink(missing_ok=True)

    @contextmanager
    def _reached(self, writes_here: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if writes_here and error.errno in REFUSALS:
                raise
            raise Unreachable(
                f"store {self.place}: {error.strerror or error}; see that the folder is there and can be written, then "
                "the same command goes on"
            ) from error
