"""A site: where results are kept besides the home, so that several machines share them."""

from __future__ import annotations

import functools
import logging
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from storage.bucket_objects import SCHEME, BucketObjects
from storage.objects import FolderObjects, Objects
from storage.refusals import refusals
from storage.shared_store import SharedStore

ENVIRONMENT = "MIXSTITCH_SITE"
WRITABLE = "writable"
ANSWER_SECONDS = 10.0
log = logging.getLogger("mixstitch.storage")


class Site(BaseModel):
    """What a site file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: str = Field(
        description="A folder that all machines see, counted from where the site file lies, or s3://BUCKET/PREFIX. "
        "Credentials are never written here: they come from the environment.",
    )
    endpoint: str | None = Field(
        None, description="URL of the server that holds the bucket; empty: Amazon's own."
    )
    engine: dict[str, Any] | None = Field(
        None,
        description="What carries out the stages that cost something: its `kind`, and the settings of that; empty: the "
        "run's own process.",
    )

    @field_validator("store")
    @classmethod
    def _names_a_place(cls, store: str) -> str:
        if store.startswith(SCHEME) and store.removeprefix(SCHEME).split("/")[0]:
            return store
        if "://" in store or not store:
            raise ValueError("allowed: a folder, or s3://BUCKET/PREFIX")
        return store

    @field_validator("endpoint", "mlflow", "prefect_api")
    @classmethod
    def _holds_no_password(cls, url: str | None) -> str | None:
        if url is not None and (not url.startswith(("http://", "https://")) or "@" in url):
            raise ValueError("allowed: an http:// or https:// URL without user or password")
        return url

    mlflow: str | None = Field(
        None,
        description="URL of an MLflow server for all, where a recipe names none; empty: each home's own.",
    )
    prefect_api: str | None = Field(
        None,
        description="URL of a Prefect server's API, as http://HOST:4200/api, that shows all runs; its token, where "
        "it asks for one, is read from PREFECT_API_AUTH_STRING. Empty: each run's or `make ui`'s own.",
    )

    def check_endpoint(self) -> None:
        """Raises ValueError where nobody listens at the endpoint: later it would be asked again for minutes."""
        if self.endpoint is None:
            return
        parts = urlsplit(self.endpoint)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=ANSWER_SECONDS).close()
        except OSError as error:
            raise ValueError(
                f"site: endpoint={self.endpoint}: nobody answers there ({error.strerror or error}); start its server "
                "or name another"
            ) from error

    def objects(self) -> Objects:
        """The place itself. Raises ValueError for a bucket where the package that reaches it is not installed."""
        if self.store.startswith(SCHEME):
            return BucketObjects(self.store, self.endpoint)
        if self.endpoint is not None:
            raise ValueError(f"site: endpoint={self.endpoint}: has no effect with the folder {self.store}")
        return FolderObjects(Path(self.store))

    def try_writing(self) -> None:
        """Raises ValueError where the store cannot be written; at once where nobody listens at its endpoint."""
        objects = self.objects()
        self.check_endpoint()
        with TemporaryDirectory() as folder:
            (Path(folder) / WRITABLE).touch()
            objects.put(WRITABLE, Path(folder) / WRITABLE)


def read_site(file: str | Path, said_by: str = "--site") -> Site:
    """The site of a YAML file. Raises ValueError naming what named it, file, key and what is allowed."""
    path, where = Path(file), f"{said_by} {file}"
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        site = Site.model_validate(content)
        if site.store.startswith(SCHEME):
            return site
        return site.model_copy(update={"store": str((path.parent / Path(site.store).expanduser()).resolve())})
    except OSError as error:
        raise ValueError(f"{where}: {error.strerror}; allowed: a YAML file with `store`") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: is not YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        told = "; ".join(refusals(error, "the file"))
        raise ValueError(f"{where}: {told}; allowed keys: {', '.join(Site.model_fields)}") from error


def named_site(file: Path | None) -> Site | None:
    """The site of a file, or else of the one that the environment names; None where neither does."""
    if file is not None:
        return read_site(file)
    named = os.environ.get(ENVIRONMENT)
    return read_site(named, f"{ENVIRONMENT}:") if named else None


def use_site(file: Path | None, writes: bool = True) -> None:
    """From here on this process, and those that it starts, share results at a site, where one is named.

    Raises ValueError where its file is wrong, or nobody answers at its endpoint, or it `writes` and the store cannot be
    written, before anything is spent.
    """
    site = named_site(file)
    if site is None:
        return
    if not site.store.startswith(SCHEME) and not Path(site.store).exists():
        instead = "it is made" if writes else "as if it held nothing"
        log.warning("site: store %s is not there: %s; is its disk mounted?", site.store, instead)
    if writes:
        site.try_writing()
    else:
        site.check_endpoint()
    if file is not None:
        os.environ[ENVIRONMENT] = str(file.resolve())


def shared_store() -> SharedStore | None:
    """The store of the site that the environment names; None where it names none."""
    named = os.environ.get(ENVIRONMENT)
    return _store_of(named) if named else None


@functools.cache
def _store_of(named: str) -> SharedStore:
    return SharedStore(read_site(named, f"{ENVIRONMENT}:").objects())
