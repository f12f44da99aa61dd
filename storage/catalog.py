"""DuckDB catalog: facts of all runs in append-only tables, with views for what is latest.

The manifests and run records are the truth; the catalog is an index that `rebuild` makes again from them. A damaged
file is set aside and another one made at once. DuckDB lets one process write at a time, so every access is one short
transaction under a file lock.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import duckdb
import pandas as pd
from filelock import FileLock

from storage.artifact import Artifact
from storage.artifacts import ArtifactStore
from storage.catalog_schema import form, schema
from storage.damage import set_aside
from storage.home import Home
from storage.run_records import read_records
from storage.writing import refusal, writing

T = TypeVar("T")

ASKED_WRONGLY = (duckdb.ProgrammingError, duckdb.DataError)  # a fault of the query, not of the file
FACTS = ("scores", "utility", "specialisation", "training_events", "forecast")  # tables kept as they stand
LEDGER = "ledger.parquet"  # beside the facts of a round of rejection sampling
IN_USE = "Could not set lock on file"


class EarlierForm(Exception):
    """The file is of an earlier version of this catalog."""


class Catalog:
    """Appends facts and answers queries; safe for several threads and processes.

    Every method raises ValueError where the file cannot be opened or written.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.path = home.catalog
        self._lock = FileLock(home.locks / "catalog.lock")

    def _do(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Work in one transaction; where the file turns out to be damaged, once more in one made anew."""
        with self._lock, writing(self.home, "the catalog"):
            try:
                with _transaction(self.path) as connection:
                    return work(connection)
            except ASKED_WRONGLY:
                raise
            except EarlierForm:
                self.rebuild(lambda: read_records(self.home), ArtifactStore(self.home).manifests)
            except duckdb.Error as error:
                if refusal(error, self.home) is not None:
                    raise
                if IN_USE in str(error):
                    raise ValueError(
                        f"{self.path}: the catalog cannot be used ({_first_line(error)}); close other programs that "
                        "have it open"
                    ) from error
                self._set_aside(_first_line(error))
            with _transaction(self.path) as connection:
                return work(connection)

    def _set_aside(self, why: str) -> None:
        place = set_aside(self.home, self.path, why, "made again from manifests and run records")
        if _log_of(self.path).exists():
            shutil.move(_log_of(self.path), _log_of(place))
        self.rebuild(lambda: read_records(self.home), ArtifactStore(self.home).manifests)

    def check(self) -> None:
        """Raise ValueError where the catalog cannot be opened; an absent one is made."""
        self._do(lambda connection: None)

    def record_run(self, record: dict) -> None:
        self._do(lambda connection: _append_run(connection, record, time.time()))

    def record_stage(self, run_id: str, entry: dict, artifact: Artifact) -> None:
        """Note that a run used an artifact, and the artifact's facts where they are not there yet."""

        def append(connection: duckdb.DuckDBPyConnection) -> None:
            _append_stage(connection, run_id, entry, time.time())
            _append_facts(connection, artifact)

        self._do(append)

    def query(self, sql: str, parameters: list | None = None) -> pd.DataFrame:
        """Rows of a read query, e.g. `query("select * from run_scores where run_id = ?", [run_id])`."""
        return self._do(lambda connection: connection.execute(sql, parameters or []).df())

    def rebuild(
        self, read_records: Callable[[], list[dict]], read_manifests: Callable[[], list[dict]]
    ) -> dict[str, int]:
        """Write the catalog anew from run records and manifests; returns the number of each.

        They are read under the lock: what a run at work writes down before is read, what it writes after is appended.
        """
        fresh = self.path.with_suffix(".rebuilding")
        store = ArtifactStore(self.home)
        with self._lock, writing(self.home, "the catalog"):
            _remove(fresh)
            try:
                records, manifests = read_records(), read_manifests()
                with _transaction(fresh) as connection:
                    for manifest in manifests:
                        folder = store.folder(manifest["stage"], manifest["name"], manifest["key"])
                        _append_facts(connection, Artifact.of_manifest(folder, manifest))
                    for record in records:
                        _append_run(connection, record, record["ended"] or record["started"])
                        for entry in record["stages"]:
                            _append_stage(connection, record["run_id"], entry, record["started"])
                _log_of(self.path).unlink(
                    missing_ok=True
                )  # of the old file: the new one cannot be opened with it
                fresh.replace(self.path)
            finally:
                _remove(fresh)
        return {"runs": len(records), "artifacts": len(manifests)}


@contextmanager
def _transaction(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(str(path))
    try:
        _have_tables(connection)
        connection.begin()
        yield connection
        connection.commit()
    finally:
        connection.close()


def _have_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make tables and views in an empty file; EarlierForm where they are not those of now, or not all there.

    What the file says of its form is looked at alone, since this is done at every access: it is written last.
    """
    tables = [name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()]
    if not tables:
        connection.execute(schema())
        connection.execute(f"create table form as select '{form()}' as digest")
        connection.execute("comment on table form is 'Which form of these tables the file has.'")
    elif "form" not in tables or connection.execute("select digest from form").fetchone() != (form(),):
        raise EarlierForm


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _log_of(path: Path) -> Path:
    """DuckDB's write-ahead log: left beside the file by a process that was killed."""
    return path.with_name(f"{path.name}.wal")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _log_of(path).unlink(missing_ok=True)


def _append_run(connection: duckdb.DuckDBPyConnection, record: dict, recorded: float) -> None:
    values = [record["run_id"], record["name"], record["status"], record["error"]]
    times = [_timestamp(record["started"]), _timestamp(record["ended"]), _timestamp(recorded)]
    connection.execute("insert into run_events values (?, ?, ?, ?, ?, ?, ?)", [*values, *times])


def _timestamp(seconds: float | None) -> datetime | None:
    """Of seconds since 1970, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _append_stage(connection: duckdb.DuckDBPyConnection, run_id: str, entry: dict, recorded: float) -> None:
    known = connection.execute(
        "select 1 from run_stages where run_id = ? and label = ? and key = ?",
        [run_id, entry["name"], entry["key"]],
    ).fetchone()
    if known is None:
        values = [entry[k] for k in ("name", "key", "cache_hit", "seconds")]
        connection.execute(
            "insert into run_stages values (?, ?, ?, ?, ?, ?)", [run_id, *values, _timestamp(recorded)]
        )


def _append_facts(connection: duckdb.DuckDBPyConnection, artifact: Artifact) -> None:
    """Append what an artifact holds, unless it is there: an artifact that was built again has another time."""
    facts, made = artifact.facts, artifact.provenance
    stamp = {"key": artifact.key, "recorded": _timestamp(made["created"])}
    if connection.execute(
        "select 1 from artifacts where key = $key and recorded = $recorded", stamp
    ).fetchone():
        return
    mixture = facts.get("mixture", {"name": "", "sources": {}})
    rows: dict[str, list[dict]] = {
        "artifacts": [
            {
                "stage": artifact.stage,
                "name": artifact.name,
                "digest": artifact.digest,
                "folder": artifact.folder.name,
                "seconds": made["seconds"],
                "commit": made["commit"],
            }
        ],
        "metrics": [{"metric": k, "value": float(v)} for k, v in facts.get("metrics", {}).items()],
        "mixtures": [
            {"mixture": mixture["name"], "source": source, **share}
            for source, share in mixture["sources"].items()
        ],
        **{table: facts.get(table, []) for table in FACTS},
    }
    for table, found in rows.items():
        if found:
            columns = connection.table(table).columns
            frame = pd.DataFrame([{**stamp, **row} for row in found], columns=columns)  # noqa: F841  read by name
            connection.execute(f"insert into {table} select * from frame")
    _append_ledger(connection, artifact, stamp)


def _append_ledger(connection: duckdb.DuckDBPyConnection, artifact: Artifact, stamp: dict) -> None:
    """Append the answers of a round of rejection sampling, which lie in its folder; none where that was emptied."""
    ledger = artifact.path / LEDGER
    if artifact.stage != "rejection" or not ledger.is_file():
        return
    connection.execute(
        """insert into rejection_samples by name
        select $key as key, $seed as random_seed, *, $recorded as recorded from read_parquet($ledger)""",
        {**stamp, "seed": artifact.provenance.get("seed"), "ledger": str(ledger)},
    )
