"""MLflow tracking: the human's window on runs. Losing it loses no result.

One MLflow run for each experiment run, one nested run for each stage it used; metrics are written in batches.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from filelock import FileLock

from storage.artifacts import Artifact
from storage.home import Home

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking import MlflowClient

EXPERIMENT = "mixstitch"
PROBE_SECONDS = 10
BATCH = 1000  # the most metrics MLflow takes in one call
STATUS = {"completed": "FINISHED", "stopped": "FINISHED", "failed": "FAILED", "crashed": "KILLED"}


class Tracker:
    """Writes to a local sqlite database under the home, or to the server named by `uri`."""

    def __init__(self, home: Home, uri: str | None = None) -> None:
        self.home = home
        self.uri = uri or f"sqlite:///{home.mlflow_database}"
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self._live: dict[str, str] = {}

    def connect(self) -> MlflowClient:
        """The client, made at first use: that migrates the database, one process at a time."""
        if self._client is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            os.environ.setdefault("DO_NOT_TRACK", "true")
            if self.uri.startswith("http"):
                check_server(self.uri)
            from mlflow.tracking import MlflowClient  # two seconds to import

            with FileLock(self.home.locks / "mlflow.lock"):
                client = MlflowClient(tracking_uri=self.uri)
                found = client.get_experiment_by_name(EXPERIMENT)
                local = self.uri.startswith("sqlite:")
                location = self.home.mlflow_artifacts.as_uri() if local else None
                self._experiment_id = (
                    found.experiment_id if found else client.create_experiment(EXPERIMENT, location)
                )
                self._client = client
        return self._client

    def start_run(self, run_id: str, name: str, experiment: dict) -> str:
        client = self.connect()
        run = client.create_run(
            self._experiment_id, run_name=run_id, tags={"mixstitch.run": run_id, "mixstitch.name": name}
        )
        client.log_text(run.info.run_id, json.dumps(experiment, indent=1), "experiment.json")
        return run.info.run_id

    def start_stage(self, parent: str, label: str) -> str:
        """Open the nested run of a stage, so that its metrics can be watched while it works."""
        if label not in self._live:
            tags = {"mlflow.parentRunId": parent, "mixstitch.stage": label}
            run = self.connect().create_run(self._experiment_id, run_name=label, tags=tags)
            self._live[label] = run.info.run_id
        return self._live[label]

    def log_series(self, mlflow_run_id: str, rows: list[dict]) -> None:
        """Metrics by step: each row holds `step` and numbers."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._batch(
            mlflow_run_id,
            [
                Metric(k, float(v), now, int(row["step"]))
                for row in rows
                for k, v in row.items()
                if k != "step"
            ],
        )

    def log_artifact(self, parent: str, artifact: Artifact) -> None:
        """Record a stage's key, place and numbers in its nested run, and close that run."""
        from mlflow.entities import Metric, Param

        client = self.connect()
        mlflow_run_id = self.start_stage(parent, artifact.label)
        now = int(time.time() * 1000)
        numbers = {f"{k}": v for k, v in artifact.facts.get("metrics", {}).items()}
        for score in artifact.facts.get("scores", []):
            numbers[f"{score['task']}/{score['metric']}"] = score["value"]
            if score["stderr"] is not None:
                numbers[f"{score['task']}/{score['metric']}/stderr"] = score["stderr"]
        mixture = artifact.facts.get("mixture")
        for source, share in (mixture["sources"] if mixture else {}).items():
            for number in ("weight", "tokens", "epochs"):
                numbers[f"{number}/{source}"] = share[number]
        for cell in artifact.facts.get("utility", []):
            numbers[f"utility/{cell['source']}/{cell['task']}"] = cell["value"]
        params = {
            "key": artifact.key,
            "digest": artifact.digest,
            "folder": str(artifact.path),
            "cache_hit": str(artifact.hit),
        }
        client.log_batch(mlflow_run_id, params=[Param(k, v) for k, v in params.items()])
        self._batch(mlflow_run_id, [Metric(_legal(k), float(v), now, 0) for k, v in numbers.items()])
        client.set_terminated(mlflow_run_id)
        self._live.pop(artifact.label, None)

    def end_run(self, mlflow_run_id: str, status: str) -> None:
        client = self.connect()
        for stage_run in self._live.values():
            client.set_terminated(stage_run, STATUS[status])
        client.set_terminated(mlflow_run_id, STATUS[status])

    def end_lost(self, run_id: str) -> None:
        """End what is left open of a run whose process is gone, its stages first.

        Found by its tag, because the process may have ended before it noted MLflow's id; where MLflow does not know
        the run (another server, a new database), there is nothing to end.
        """
        for run in self._open_runs("mixstitch.run", run_id):
            for stage in self._open_runs("mlflow.parentRunId", run.info.run_id):
                self.connect().set_terminated(stage.info.run_id, STATUS["crashed"])
            self.connect().set_terminated(run.info.run_id, STATUS["crashed"])

    def _open_runs(self, tag: str, value: str) -> list[MlflowRun]:
        return self.connect().search_runs(
            [self._experiment_id], f"tags.`{tag}` = '{value}' and attributes.status = 'RUNNING'"
        )

    def _batch(self, mlflow_run_id: str, metrics: list[Metric]) -> None:
        for first in range(0, len(metrics), BATCH):
            self.connect().log_batch(mlflow_run_id, metrics=metrics[first : first + BATCH])


def check_server(uri: str) -> None:
    """Raise ValueError where no MLflow server answers at `uri`; MLflow itself would try for minutes."""
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=PROBE_SECONDS).raise_for_status()
    except requests.RequestException as error:
        raise ValueError(
            f"tracking.mlflow_uri={uri}: no MLflow server answers there ({type(error).__name__}); allowed: the URL of "
            "a running one, or none for the database in the home"
        ) from error


def _legal(name: str) -> str:
    """MLflow allows letters, digits and `_-. :/` in a metric's name."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. :/") else "_" for c in name)
