"""Objects in a bucket of S3, or of a server that speaks as S3 does; credentials come from the environment alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from storage.objects import Unreachable
from storage.writing import REFUSALS

SCHEME = "s3://"
# A server may be down for some seconds, and answers 500 and 503 under load: botocore tries again, ever later.
TRIES = {
    "retries": {"max_attempts": 10, "mode": "standard"},
    "connect_timeout": 10,
    "read_timeout": 60,
}


class BucketObjects:
    """Objects of the bucket and prefix that a URL names, s3://BUCKET/PREFIX. endpoint: of a server that is not AWS."""

    def __init__(self, url: str, endpoint: str | None) -> None:
        if find_spec("s3fs") is None:
            raise ValueError(f"store {url}: a bucket needs the package s3fs: pip install 'mixstitch[s3]'")
        import s3fs

        logging.getLogger("aiobotocore.credentials").setLevel(logging.WARNING)
        self.place = url
        self._root = url.removeprefix(SCHEME).rstrip("/")
        self._files: Any = s3fs.S3FileSystem(
            endpoint_url=endpoint, config_kwargs=TRIES, use_listings_cache=False, skip_instance_cache=True
        )

    def size(self, name: str) -> int | None:
        with self._reached():
            try:
                return int(self._files.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def modified(self, name: str) -> float:
        with self._reached():
            return float(self._files.info(self._path(name))["LastModified"].timestamp())

    def read(self, name: str) -> bytes | None:
        with self._reached():
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def get(self, name: str, path: Path) -> bool:
        with self._reached(writes_here=True):
            try:
                self._files.get_file(self._path(name), str(path))
            except FileNotFoundError:
                return False
            return True

    def put(self, name: str, path: Path) -> None:
        with self._reached():
            self._files.put_file(str(path), self._path(name))

    def create(self, name: str, content: bytes) -> bool:
        with self._reached():
            try:
                self._files.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
            return True

    def names(self, prefix: str) -> list[str]:
        with self._reached():
            found = self._files.find(self._path(prefix), withdirs=False)
            return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def remove(self, name: str) -> None:
        with self._reached():
            if self._files.exists(self._path(name)):
                self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _reached(self, writes_here: bool = False) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (OSError, BotoCoreError, ClientError) as error:
            if writes_here and getattr(error, "errno", None) in REFUSALS:
                raise
            raise Unreachable(
                f"store {self.place}: {type(error).__name__}: {error}; see that the bucket is there, the endpoint is "
                "right, and that AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, may read and write it"
            ) from error
