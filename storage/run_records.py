"""Records of runs on disk: what was asked, which stages a run used, how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.damage import set_aside
from storage.home import Home
from storage.processes import is_alive
from storage.refusals import refusals
from storage.sealed import Damaged, read_sealed, write_sealed

RECORD = "run.json"
RUNNING, COMPLETED, FAILED, CRASHED = "running", "completed", "failed", "crashed"
STOPPED = "stopped"  # where it was asked to stop
CANCELLED = "cancelled"  # by who sent it a signal


class StageEntry(BaseModel):
    """A stage that a run used."""

    model_config = ConfigDict(strict=True, extra="allow")
    name: str
    stage: str
    folder: str
    key: str
    cache_hit: bool
    seconds: float


class Record(BaseModel):
    """What stands in a record."""

    model_config = ConfigDict(strict=True, extra="allow")
    run_id: str
    number: int
    name: str
    status: str
    process: int
    started: float
    ended: float | None
    experiment: dict[str, Any]
    stages: list[StageEntry]
    flow_run_id: str | None
    mlflow_run_id: str | None
    error: str | None


def write_record(home: Home, record: dict) -> None:
    folder = home.runs / record["run_id"]
    folder.mkdir(parents=True, exist_ok=True)
    write_sealed(folder / RECORD, record)


def read_records(home: Home) -> list[dict]:
    """Every run's record, in the order of their beginning. A damaged one is set aside."""
    found = [_read_record(home, path) for path in home.runs.glob(f"*/{RECORD}")]
    records = [record for record in found if record is not None]
    return sorted(records, key=lambda record: (record["number"], record["started"], record["run_id"]))


def _read_record(home: Home, path: Path) -> dict | None:
    try:
        record = read_sealed(path)
        Record.model_validate(record)
        if record["run_id"] != path.parent.name:
            raise Damaged("it is that of another run")
        return record
    except FileNotFoundError:  # set aside meanwhile by another command
        return None
    except Damaged as error:
        why = str(error)
    except ValidationError as error:
        why = refusals(error)[0]
    set_aside(home, path.parent, f"the record of this run: {why}", "the run is not listed; its results stay")
    return None


def next_number(home: Home) -> int:
    """That of a run which begins now: the clock may have been set back since the one before."""
    return max((record["number"] for record in read_records(home)), default=0) + 1


def find_record(home: Home, run: str) -> dict:
    """The record of a run by id, beginning of an id, or `latest`; ValueError where there is none."""
    records = read_records(home)
    if not records:
        raise ValueError(
            f"RUN={run}: no run has been made in {home.root} yet; start one with `mixstitch run RECIPE`"
        )
    if run == "latest":
        return records[-1]
    matching = [record for record in records if record["run_id"].startswith(run)]
    exact = [record for record in matching if record["run_id"] == run]
    if len(exact or matching) != 1:
        known = ", ".join(record["run_id"] for record in records[-5:])
        what = "is ambiguous" if matching else "is not a run"
        raise ValueError(f"RUN={run}: {what}; allowed: `latest` or an id such as {known}")
    return (exact or matching)[0]


def runs_in_progress(home: Home) -> list[dict]:
    """Records of the runs that a living process works on."""
    return [record for record in read_records(home) if record["status"] == RUNNING and is_alive(record)]


def crashed_runs(home: Home) -> list[dict]:
    """Records that say 'running' though their process is gone, until `mark_crashed` says otherwise."""
    return [record for record in read_records(home) if record["status"] == RUNNING and not is_alive(record)]
