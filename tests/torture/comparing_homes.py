"""What must hold of a home after whatever befell its runs and one run in peace."""

from __future__ import annotations

from pathlib import Path

from storage.artifacts import ArtifactStore
from storage.catalog import Catalog
from storage.fingerprint import digest_named
from storage.home import Home
from storage.processes import owned
from storage.run_records import COMPLETED, find_record, read_records
from storage.runs import summarise
from storage.shown_numbers import numbers_of
from storage.tracking import KEY


def scores_of(folder: Path) -> list[dict]:
    home = Home(folder)
    return summarise(home, find_record(home, "latest")).scores


def faults(folder: Path, scores: list[dict], outside: Path, digest: str) -> list[str]:
    """What does not hold, in words."""
    home = Home(folder)
    found = []
    if scores_of(folder) != scores:
        found.append("the scores are others than in peace")
    if digest_named(outside) != digest:
        found.append("something outside of the home was touched")
    left = [" ".join(process.cmdline())[:80] for process, _ in owned(home)]
    if left:
        found.append(f"left running: {left}")
    if any(record["status"] == "running" for record in read_records(home)):
        found.append("a run that has ended is said to be running")
    return found + _catalog_faults(home) + _tracking_faults(home)


def _catalog_faults(home: Home) -> list[str]:
    """The catalog holds what the manifests of the last run's results hold."""
    record = find_record(home, "latest")
    catalog = Catalog(home)
    rows = catalog.query(
        "select model, task, metric, value from (from run_scores union all from run_snapshot_scores) "
        "where run_id = ?",
        [record["run_id"]],
    )
    told = {tuple(row) for row in rows.itertuples(index=False)}
    kept = {(s["model"], s["task"], s["metric"], s["value"]) for s in summarise(home, record).scores}
    status = catalog.query("select status from runs where run_id = ?", [record["run_id"]])["status"].tolist()
    return (["the catalog has other scores than the manifests"] if told != kept else []) + (
        [] if status == [COMPLETED] else [f"the catalog has the last run as {status}"]
    )


def _tracking_faults(home: Home) -> list[str]:
    """MLflow has the last run as finished, and each of its stages with all their numbers under the run that made it."""
    from mlflow.tracking import MlflowClient

    record = find_record(home, "latest")
    client = MlflowClient(tracking_uri=f"sqlite:///{home.mlflow_database}")
    experiment = client.get_experiment_by_name("mixstitch")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.`mixstitch.run` = '{record['run_id']}'")
    if [run.info.status for run in runs] != ["FINISHED"]:
        return [f"MLflow has the last run {[run.info.status for run in runs]}"]
    store = ArtifactStore(home)
    found = []
    for entry in record["stages"]:
        numbers = numbers_of(store.load(entry["stage"], entry["folder"]).facts)
        known = {float(v) for v in numbers.values() if float(v) == float(v)}
        made = client.search_runs([experiment.experiment_id], f"tags.`{KEY}` = '{entry['key']}'")
        if not any(known <= set(run.data.metrics.values()) for run in made):
            found.append(f"MLflow lacks numbers of {entry['name']}")
    return found
