"""MLflow tracking: the human's window on runs. Losing it loses no result.

One MLflow run for each experiment run, with its settings, headline scores and page; one nested run for each stage that
it made: what was there already stands under the run that made it. Metrics are written in batches. The
database in the home is made whole before it is used; a damaged one is set aside, and a new one filled from the records
of runs and the manifests of their results.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from storage.artifact import Artifact
from storage.artifacts import ArtifactStore
from storage.databases import damage_of, have_whole, lock_of, newest_revision
from storage.home import Home
from storage.run_records import CANCELLED, RUNNING, find_record, read_records
from storage.shown_numbers import headline_scores, legal, numbers_of, shown_settings
from storage.tracking_servers import check_server, may_write_to

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking import MlflowClient

T = TypeVar("T")
EXPERIMENT = "mixstitch"
BATCH, BATCH_OF_PARAMS = 1000, 100  # the most metrics and parameters that MLflow takes in one call
KEY = "mixstitch.key"
STATUS = {
    "completed": "FINISHED",
    "stopped": "FINISHED",
    "failed": "FAILED",
    "crashed": "KILLED",
    CANCELLED: "KILLED",
}
_opened: dict[str, tuple[int, int] | None] = {}  # by this process: name -> which file it was then
MIGRATIONS = ("mlflow", "store/db_migrations/versions")


class Tracker:
    """Writes to a local sqlite database under the home, or to the server named by `uri`."""

    def __init__(self, home: Home, uri: str | None = None) -> None:
        self.home = home
        self.uri = uri or f"sqlite:///{home.mlflow_database}"
        self._is_local = uri is None
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self._run_id = self._parent = ""
        self._takes_files = False
        self._live: dict[str, str] = {}
        self._file: tuple[int, int] | None = None
        self._written: set[str] = set()  # labels that a new database has from the record already
        self._attaching = threading.RLock()

    def connect(self) -> MlflowClient:
        """The client, made at first use: that makes the database, one process at a time."""
        if self._client is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            os.environ.setdefault("DO_NOT_TRACK", "true")
            if self.uri.startswith("http"):
                check_server(self.uri)
            from mlflow.tracking import MlflowClient  # two seconds to import

            with lock_of(self.home, self.home.mlflow_database):
                if self._is_local:
                    have_database(self.home)
                    self._file = _identity(self.home.mlflow_database)
                    self.uri = _uri_of(self.home.mlflow_database)
                client = MlflowClient(tracking_uri=self.uri)
                self._experiment_id = _experiment(client, self.home, self.uri)
                self._client = client
        return self._client

    def start_run(self, run_id: str, name: str, experiment: dict) -> str:
        self._run_id = run_id
        self._parent = self._do(lambda client: self._start(client, run_id, name, experiment))
        return self._parent

    def _start(
        self, client: MlflowClient, run_id: str, name: str, experiment: dict, started: float | None = None
    ) -> str:
        from mlflow.entities import Param

        tags = {"mixstitch.run": run_id, "mixstitch.name": name}
        at = None if started is None else int(started * 1000)
        said = time.strftime("%Y-%m-%d %H:%M", time.localtime(started))
        run = client.create_run(self._experiment_id, start_time=at, run_name=f"{name} {said}", tags=tags)
        self._takes_files = self._is_local or may_write_to(run.info.artifact_uri, self.uri)
        if self._takes_files:
            client.log_text(run.info.run_id, json.dumps(experiment, indent=1), "experiment.json")
        params = [Param(legal(name), value) for name, value in shown_settings(experiment).items()]
        for first in range(0, len(params), BATCH_OF_PARAMS):
            client.log_batch(run.info.run_id, params=params[first : first + BATCH_OF_PARAMS])
        return run.info.run_id

    def log_series(self, label: str, rows: list[dict]) -> None:
        """Metrics by step of a stage at work, so that they can be watched: each row holds `step` and numbers."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(k, float(v), now, int(row["step"])) for row in rows for k, v in row.items() if k != "step"
        ]
        self._do(lambda client: _batch(client, self._stage(client, label), metrics))

    def log_artifact(self, artifact: Artifact) -> None:
        """Record a stage's key, place and numbers in its nested run, and close that run; headline scores and the page
        in the run above it."""
        self._do(lambda client: self._log(client, artifact))

    def end_run(self, status: str) -> None:
        self._do(lambda client: self._end(client, status))

    def _log(self, client: MlflowClient, artifact: Artifact, ended: float | None = None) -> None:
        from mlflow.entities import Metric, Param, RunTag

        if artifact.label in self._written:
            self._written.remove(artifact.label)
            return
        now = int(time.time() * 1000)
        headline = headline_scores(artifact.facts)
        _batch(client, self._parent, [Metric(legal(k), float(v), now, 0) for k, v in headline.items()])
        if "page" in artifact.facts and self._takes_files and not artifact.hit:
            client.log_artifact(self._parent, str(artifact.path / artifact.facts["page"]))
        made = f"tags.`{KEY}` = '{artifact.key}'"
        if artifact.hit and client.search_runs([self._experiment_id], made, max_results=1):
            return
        mlflow_run_id = self._stage(client, artifact.label)
        params = {
            "key": artifact.key,
            "digest": artifact.digest,
            "folder": str(artifact.folder),
            "cache_hit": str(artifact.hit),
        }
        metrics = [Metric(legal(k), float(v), now, 0) for k, v in numbers_of(artifact.facts).items()]
        _batch(client, mlflow_run_id, metrics[BATCH:])
        client.log_batch(  # in one transaction: a stage is one of many
            mlflow_run_id,
            metrics=metrics[:BATCH],
            params=[Param(k, v) for k, v in params.items()],
            tags=[RunTag(KEY, artifact.key)],
        )
        client.set_terminated(mlflow_run_id, end_time=None if ended is None else int(ended * 1000))
        self._live.pop(artifact.label, None)

    def _stage(self, client: MlflowClient, label: str) -> str:
        """The open nested run of a stage."""
        if label not in self._live:
            tags = {"mlflow.parentRunId": self._parent, "mixstitch.stage": label}
            run = client.create_run(self._experiment_id, run_name=label, tags=tags)
            self._live[label] = run.info.run_id
        return self._live[label]

    def _end(self, client: MlflowClient, status: str, ended: float | None = None) -> None:
        at = None if ended is None else int(ended * 1000)
        for stage_run in self._live.values():
            client.set_terminated(stage_run, STATUS[status], at)
        client.set_terminated(self._parent, STATUS[status], at)

    def _do(self, work: Callable[[MlflowClient], T]) -> T:
        """Work; once more in another database where this one was set aside meanwhile, or is damaged."""
        from mlflow.exceptions import MlflowException

        client = self.connect()
        if self._is_local and self._file != _identity(self.home.mlflow_database):
            client = self._attach_again(client)
        try:
            return work(client)
        except MlflowException:
            path = self.home.mlflow_database
            is_same = self._file == _identity(path)
            if not self._is_local or (is_same and damage_of(path, newest_revision(*MIGRATIONS)) is None):
                raise
        return work(self._attach_again(client))

    def _attach_again(self, lost: MlflowClient) -> MlflowClient:
        """The client of the database that stands there now, with what the record says of the run in it."""
        with self._attaching:
            if self._client is not lost:  # another thread has done it
                return self.connect()
            self._client, self._live = None, {}
            client = self.connect()
            if self._run_id:
                for run in self._runs("mixstitch.run", self._run_id):
                    client.delete_run(run.info.run_id)
                record = find_record(self.home, self._run_id)
                self._refill(client, record)
                self._written = {entry["name"] for entry in record["stages"]}
            return client

    def _refill(self, client: MlflowClient, record: dict) -> None:
        """Write what a record and the manifests of its results say; a run at work stays open."""
        self._live, self._run_id = {}, record["run_id"]
        self._parent = self._start(
            client, record["run_id"], record["name"], record["experiment"], record["started"]
        )
        store = ArtifactStore(self.home)
        for entry in record["stages"]:
            try:
                artifact = store.load(entry["stage"], entry["folder"])
            except (
                ValueError
            ):  # cleaned away, or damaged: then it is made again, and logged, when it is next used
                continue
            found = replace(artifact, hit=entry["cache_hit"])
            self._log(client, found, record["ended"] or record["started"])
        if record["status"] != RUNNING:
            self._end(client, record["status"], record["ended"])

    def end_lost(self, run_id: str) -> None:
        """End what is left open of a run whose process is gone, its stages first.

        Found by its tag, because the process may have ended before it noted MLflow's id; where MLflow does not know
        the run (another server, a new database), there is nothing to end.
        """
        is_open = " and attributes.status = 'RUNNING'"
        for run in self._runs("mixstitch.run", run_id, is_open):
            for stage in self._runs("mlflow.parentRunId", run.info.run_id, is_open):
                self.connect().set_terminated(stage.info.run_id, STATUS["crashed"])
            self.connect().set_terminated(run.info.run_id, STATUS["crashed"])

    def _runs(self, tag: str, value: str, also: str = "") -> list[MlflowRun]:
        return self.connect().search_runs([self._experiment_id], f"tags.`{tag}` = '{value}'{also}")


def pages(home: Home) -> Any:
    """MLflow's ASGI application for the database in the home; for a process that serves nothing else."""
    from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR

    os.environ[BACKEND_STORE_URI_ENV_VAR] = os.environ[REGISTRY_STORE_URI_ENV_VAR] = (
        f"sqlite:///{home.mlflow_database}"
    )
    os.environ[ARTIFACT_ROOT_ENV_VAR] = home.mlflow_artifacts.as_uri()
    from mlflow.server.fastapi_app import app

    return app


def have_database(home: Home) -> None:
    """See that MLflow's database in the home is whole; call it under its lock."""
    path, revision = home.mlflow_database, newest_revision(*MIGRATIONS)
    have_whole(
        home, path, revision, lambda fresh: _fill(home, fresh), "made again from the records of the runs"
    )


def _fill(home: Home, path: Path) -> None:
    """Make MLflow's tables in a file, and write into them what the records of runs say."""
    from mlflow.tracking import MlflowClient

    tracker = Tracker(home)
    tracker.uri = _uri_of(path)
    client = MlflowClient(tracking_uri=tracker.uri)
    tracker._experiment_id = _experiment(client, home, tracker.uri)
    for record in read_records(home):
        tracker._refill(client, record)


def _experiment(client: MlflowClient, home: Home, uri: str) -> str:
    """The id of ours, made where there is none."""
    found = client.get_experiment_by_name(EXPERIMENT)
    location = home.mlflow_artifacts.as_uri() if uri.startswith("sqlite:") else None
    return found.experiment_id if found else client.create_experiment(EXPERIMENT, location)


def _batch(client: MlflowClient, mlflow_run_id: str, metrics: list[Metric]) -> None:
    for first in range(0, len(metrics), BATCH):
        client.log_batch(mlflow_run_id, metrics=metrics[first : first + BATCH])


def _uri_of(path: Path) -> str:
    """A name of the file that MLflow does not know for another one: it keeps open what it has opened, by its name."""
    uri, file = f"sqlite:///{path}", _identity(path)
    while uri in _opened and (file is None or _opened[uri] != file):
        uri = uri.replace("sqlite:///", "sqlite:////.", 1)
    _opened[uri] = file
    return uri


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name."""
    if not path.exists():
        return None
    found = path.stat()
    return found.st_dev, found.st_ino
