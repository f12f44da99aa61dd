"""DuckDB catalog: facts of all runs in append-only tables, with views for what is latest.

The manifests and run records are the truth; the catalog is an index that `rebuild` makes again from them.
DuckDB lets one process write at a time, so every access is one short transaction under a file lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
from filelock import FileLock

from storage.artifacts import Artifact
from storage.home import Home

SCHEMA = """
create table if not exists run_events (
    run_id varchar, name varchar, status varchar, started double, ended double, error varchar,
    recorded double);
create table if not exists run_stages (
    run_id varchar, label varchar, key varchar, cache_hit boolean, seconds double, recorded double);
create table if not exists artifacts (
    key varchar, stage varchar, name varchar, digest varchar, folder varchar, seconds double, commit varchar,
    recorded double);
create table if not exists metrics (key varchar, metric varchar, value double, recorded double);
create table if not exists scores (
    key varchar, model varchar, task varchar, metric varchar, value double, stderr double, n bigint,
    recorded double);
create table if not exists mixtures (
    key varchar, mixture varchar, source varchar, weight double, tokens bigint, epochs double,
    recorded double);
create table if not exists utility (
    key varchar, source varchar, task varchar, value double, stderr double, recorded double);
create or replace view runs as
    select * from run_events
    qualify row_number() over (partition by run_id order by recorded desc) = 1;
create or replace view latest_artifacts as
    select * from artifacts
    qualify row_number() over (partition by key order by recorded desc) = 1;
create or replace view latest_scores as
    select * from scores
    qualify row_number() over (partition by key, model, task, metric order by recorded desc) = 1;
create or replace view latest_mixtures as
    select * from mixtures
    qualify row_number() over (partition by key, mixture, source order by recorded desc) = 1;
create or replace view latest_utility as
    select * from utility
    qualify row_number() over (partition by key, source, task order by recorded desc) = 1;
create or replace view run_scores as
    select s.run_id, f.model, f.task, f.metric, f.value, f.stderr, f.n
    from run_stages s join latest_scores f using (key);
"""


class Catalog:
    """Appends facts and answers queries; safe for several threads and processes."""

    def __init__(self, home: Home) -> None:
        self.path = home.catalog
        self._lock = FileLock(home.locks / "catalog.lock")

    @contextmanager
    def _open(self, path: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock:
            connection = duckdb.connect(str(path or self.path))
            try:
                connection.execute(SCHEMA)
                connection.begin()
                yield connection
                connection.commit()
            finally:
                connection.close()

    def record_run(self, record: dict) -> None:
        with self._open() as connection:
            _append_run(connection, record, time.time())

    def record_stage(self, run_id: str, entry: dict, artifact: Artifact) -> None:
        """Note that a run used an artifact; the artifact's facts are written when it was newly built."""
        with self._open() as connection:
            _append_stage(connection, run_id, entry, time.time())
            known = connection.execute(
                "select count(*) from artifacts where key = ?", [artifact.key]
            ).fetchone()
            if known == (0,) or not artifact.hit:
                _append_facts(
                    connection,
                    artifact.key,
                    artifact.stage,
                    artifact.name,
                    artifact.digest,
                    artifact.path.name,
                    artifact.facts,
                    artifact.provenance,
                )

    def query(self, sql: str, parameters: list | None = None) -> pd.DataFrame:
        """Rows of a read query, e.g. `query("select * from run_scores where run_id = ?", [run_id])`."""
        with self._open() as connection:
            return connection.execute(sql, parameters or []).df()

    def rebuild(self, records: Iterable[dict], manifests: Iterable[dict]) -> dict[str, int]:
        """Write the catalog anew from run records and manifests; returns the number of each."""
        fresh = self.path.with_suffix(".rebuilding")
        fresh.unlink(missing_ok=True)
        counts = {"runs": 0, "artifacts": 0}
        with self._lock:
            with self._open(fresh) as connection:
                for manifest in manifests:
                    folder = "-".join(filter(None, (manifest["name"], manifest["key"][:16])))
                    _append_facts(
                        connection,
                        manifest["key"],
                        manifest["stage"],
                        manifest["name"],
                        manifest["digest"],
                        folder,
                        manifest["facts"],
                        manifest["provenance"],
                    )
                    counts["artifacts"] += 1
                for record in records:
                    _append_run(connection, record, record["ended"] or record["started"])
                    for entry in record["stages"]:
                        _append_stage(connection, record["run_id"], entry, record["started"])
                    counts["runs"] += 1
            fresh.replace(self.path)
        return counts


def _append(connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict], columns: list[str]) -> None:
    if rows:
        frame = pd.DataFrame(rows, columns=columns)  # noqa: F841  duckdb reads it by name
        connection.execute(f"insert into {table} ({', '.join(columns)}) select * from frame")


def _append_run(connection: duckdb.DuckDBPyConnection, record: dict, recorded: float) -> None:
    values = [record[k] for k in ("run_id", "name", "status", "started", "ended", "error")]
    connection.execute("insert into run_events values (?, ?, ?, ?, ?, ?, ?)", [*values, recorded])


def _append_stage(connection: duckdb.DuckDBPyConnection, run_id: str, entry: dict, recorded: float) -> None:
    values = [entry[k] for k in ("name", "key", "cache_hit", "seconds")]
    connection.execute("insert into run_stages values (?, ?, ?, ?, ?, ?)", [run_id, *values, recorded])


def _append_facts(
    connection: duckdb.DuckDBPyConnection,
    key: str,
    stage: str,
    name: str,
    digest: str,
    folder: str,
    facts: dict,
    provenance: dict,
) -> None:
    recorded = provenance["created"]
    connection.execute(
        "insert into artifacts values (?, ?, ?, ?, ?, ?, ?, ?)",
        [key, stage, name, digest, folder, provenance["seconds"], provenance["commit"], recorded],
    )
    stamp = {"key": key, "recorded": recorded}
    metrics = [{**stamp, "metric": k, "value": float(v)} for k, v in facts.get("metrics", {}).items()]
    _append(connection, "metrics", metrics, ["key", "metric", "value", "recorded"])
    scores = [{**stamp, **score} for score in facts.get("scores", [])]
    _append(
        connection, "scores", scores, ["key", "model", "task", "metric", "value", "stderr", "n", "recorded"]
    )
    mixture = facts.get("mixture", {"name": "", "sources": {}})
    shares = [
        {**stamp, "mixture": mixture["name"], "source": source, **share}
        for source, share in mixture["sources"].items()
    ]
    _append(
        connection, "mixtures", shares, ["key", "mixture", "source", "weight", "tokens", "epochs", "recorded"]
    )
    cells = [{**stamp, **cell} for cell in facts.get("utility", [])]
    _append(connection, "utility", cells, ["key", "source", "task", "value", "stderr", "recorded"])
