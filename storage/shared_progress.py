"""What a stage keeps while it works, put beside the shared results at intervals: another machine goes on from it.

An index names the files of one moment by their digests and is put last; what is fetched is verified. A machine that has
progress of its own goes on from it only where it was the last to put an index: else another has come further since. Two
machines that work on one key at once may take each other's files away: then the work begins anew, and says so.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.damage import remove_tree
from storage.fingerprint import digest_bytes, digest_file
from storage.objects import Objects, Unreachable
from storage.sealed import Damaged
from storage.work_folders import PROGRESS

LAST_PUT = (
    ".shared"  # in the progress itself: the digest of the index that this machine has put or fetched last
)
TRIES = 5  # to find a moment in which nothing is being written
log = logging.getLogger("mixstitch.storage")


class SharedProgress:
    """The progress of one stage, in the folder that it works in and in a place of objects."""

    def __init__(self, objects: Objects, stage: str, folder_name: str, work: Path) -> None:
        self.objects = objects
        self.folder = work / PROGRESS
        self._prefix = f"{PROGRESS}/{stage}/{folder_name}"
        self._index = f"{self._prefix}/index.json"
        self._kept: dict[str, tuple[int, int]] | None = (
            None  # size and time of each file when it was last put
        )

    def fetch(self) -> bool:
        """Bring what another machine has kept; False where there is none, it is damaged, or this one was the last."""
        content = self.objects.read(self._index)
        if content is None or self._last_put() == digest_bytes(content):
            return False
        with TemporaryDirectory(dir=self.folder.parent) as made:
            whole = Path(made) / PROGRESS
            try:
                for relative, digest in _files_of(content).items():
                    path = whole / relative
                    if not path.resolve().is_relative_to(whole.resolve()):
                        raise Damaged(f"{relative} lies outside of it")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    if not self.objects.get(f"{self._prefix}/{digest}", path) or digest_file(path) != digest:
                        raise Damaged(f"{relative} is missing, or not as it was")
            except Damaged as error:
                goes_on = (
                    "the work goes on from what is here" if self.folder.exists() else "the work begins anew"
                )
                log.warning("%s: %s: %s: %s", self.objects.place, self._prefix, error, goes_on)
                return False
            (whole / LAST_PUT).write_text(digest_bytes(content), encoding="utf-8")
            remove_tree(self.folder)
            whole.replace(self.folder)
        return True

    def _last_put(self) -> str | None:
        path = self.folder / LAST_PUT
        return path.read_text(encoding="utf-8") if path.is_file() else None

    @contextmanager
    def kept(self, seconds: float) -> Iterator[None]:
        """Meanwhile what the stage keeps is put there every so many seconds; a store that stays away stops nothing."""
        ended = threading.Event()

        def keep_on() -> None:
            while not ended.wait(seconds):
                try:
                    self.keep()
                except (Unreachable, OSError) as error:
                    log.warning("progress is not shared just now: %s", error)

        thread = threading.Thread(target=keep_on, name=f"progress of {self._prefix}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def keep(self) -> bool:
        """Put the files of one moment there; False where nothing has changed, or too much is being written."""
        with TemporaryDirectory(dir=self.folder.parent) as made:  # cleared with the rest, should we be killed
            for _ in range(TRIES):
                before = self._seen()
                if before == self._kept or not before:
                    return False
                copied = Path(made) / "copied"
                shutil.rmtree(copied, ignore_errors=True)
                try:
                    shutil.copytree(self.folder, copied)
                except (FileNotFoundError, shutil.Error):  # written over meanwhile
                    continue
                if self._seen() == before:
                    break
            else:
                return False
            paths = {relative: copied / relative for relative in before}
            files = {relative: digest_file(path) for relative, path in paths.items()}
            there = set(self.objects.names(self._prefix))
            for relative, digest in files.items():
                if f"{self._prefix}/{digest}" not in there:
                    self.objects.put(f"{self._prefix}/{digest}", paths[relative])
            index = Path(made) / "index.json"
            index.write_text(json.dumps(files), encoding="utf-8")
            self.objects.put(self._index, index)
            (self.folder / LAST_PUT).write_text(digest_file(index), encoding="utf-8")
        for name in there - {self._index, *(f"{self._prefix}/{digest}" for digest in files.values())}:
            self.objects.remove(name)
        self._kept = before
        return True

    def forget(self) -> None:
        """Remove it from there, the index first: the result is there. A store that stays away keeps it."""
        try:
            for name in (self._index, *self.objects.names(self._prefix)):
                self.objects.remove(name)
        except Unreachable as error:
            log.warning("progress that nobody needs any more stays in the store: %s", error)

    def _seen(self) -> dict[str, tuple[int, int]]:
        found = {}
        for path in sorted(self.folder.rglob("*")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file() and path.name != LAST_PUT:
                found[path.relative_to(self.folder).as_posix()] = (stat.st_size, stat.st_mtime_ns)
        return found


def _files_of(content: bytes) -> dict[str, str]:
    """Relative path -> digest, as an index says. Raises Damaged where it is none."""
    try:
        files = json.loads(content)
    except ValueError as error:
        raise Damaged(f"index.json: {error}") from error
    if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
        raise Damaged("index.json: allowed: a digest for each file")
    return files
