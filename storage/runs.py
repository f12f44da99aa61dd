"""Records of runs: what was asked, which stages it used, how it ended; and the run in progress."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NoReturn

from storage.artifact import Artifact, Gone
from storage.artifacts import ArtifactStore
from storage.catalog import Catalog
from storage.home import Home
from storage.processes import this_process
from storage.run_records import CRASHED, RUNNING, next_number, write_record
from storage.stages import PROGRESS_LOGGER, Stage
from storage.tracking import Tracker
from storage.unrecorded import Reached
from storage.writing import writing

MODEL = "model"
log = logging.getLogger("mixstitch.storage")


class Run:
    """A run in progress. Every stage goes through `stage`, which keeps, catalogs and tracks its result."""

    uses_prefect = True

    def __init__(
        self,
        home: Home,
        name: str,
        experiment: dict,
        tracking_uri: str | None = None,
        flow_run_id: str | None = None,
        until: str | None = None,
        make_there: Callable[[Stage], None] | None = None,
    ) -> None:
        """make_there: has a stage made elsewhere and put into the shared store; stages that cost nothing stay here."""
        self.home = home
        self._make_there = make_there
        self.makes_elsewhere = make_there is not None
        self.store = ArtifactStore(home)
        self.catalog = Catalog(home)
        self.tracker = Tracker(home, tracking_uri)
        self._lock = threading.Lock()
        self._ended = False
        self._until, self._reached = until, False
        self.run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{secrets.token_hex(2)}"
        self._begun = time.monotonic()
        self._record: dict = {
            "run_id": self.run_id,
            "number": next_number(home),
            "name": name,
            "status": RUNNING,
            **this_process(),
            "started": time.time(),
            "ended": None,
            "experiment": experiment,
            "stages": [],
            "flow_run_id": flow_run_id,
            "mlflow_run_id": None,
            "error": None,
        }
        with self._writing():
            self.catalog.check()
            self.tracker.connect()
            self._save()
            self.catalog.record_run(self._record)
            mlflow_run_id = self.tracker.start_run(self.run_id, name, experiment)
            self.update(mlflow_run_id=mlflow_run_id)

    def stage(self, stage: Stage) -> Artifact:
        """The artifact of a stage, found or built, and written into this run's record."""
        artifact = self._made(stage)
        entry = {
            "name": artifact.label,
            "stage": stage.name,
            "folder": artifact.folder.name,
            "key": artifact.key,
            "cache_hit": artifact.hit,
            "seconds": round(artifact.seconds, 3),
            "headline": stage.headline(artifact.facts),
        }
        with self._writing():
            with self._lock:
                self._record["stages"] = [*self._record["stages"], entry]
                self._save()
            self.catalog.record_stage(self.run_id, entry, artifact)
            self.tracker.log_artifact(artifact)
        logging.getLogger(PROGRESS_LOGGER).info(
            "%s: %s", artifact.label, entry["headline"], extra={"ended": entry}
        )
        self._reached = self._reached or self._until in (stage.name, artifact.label)
        return artifact

    def _made(self, stage: Stage) -> Artifact:
        make_there = self._make_there
        if make_there is None or not stage.cost().is_work:
            return self.store.produce(stage)
        return self.store.made_there(stage, lambda: make_there(stage))

    def go_on(self) -> None:
        """Raises Reached once the stage `until`, or the first of that name, is done."""
        if self._reached:
            raise Reached(self._until)

    def not_known(self, reason: ValueError) -> NoReturn:
        """What a run must know could not be found out; a plan goes on here."""
        raise reason

    def log_series(self, label: str, rows: list[dict]) -> None:
        """Metrics by step of a stage at work, for MLflow: each row holds `step` and numbers."""
        with self._writing():
            self.tracker.log_series(label, rows)

    def update(self, **changes: object) -> None:
        with self._writing(), self._lock:
            self._record.update(changes)
            self._save()

    @property
    def flow_run_id(self) -> str | None:
        return self._record["flow_run_id"]

    def finish(self, status: str, error: str | None = None) -> None:
        """Close the run wherever it is known; the first end is the one that counts."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        # by a clock that is never set: a run that ends before it began would be shown otherwise
        ended = self._record["started"] + time.monotonic() - self._begun
        self.update(status=status, ended=ended, error=error)
        with self._writing():
            self.catalog.record_run(self._record)
            self.tracker.end_run(status)

    def _save(self) -> None:
        write_record(self.home, self._record)

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self.home, f"run {self.run_id}")


@dataclass(frozen=True)
class RunSummary:
    """What `show` prints: the results of a run, collected from the artifacts it used."""

    run_id: str
    name: str
    status: str
    started: float
    seconds: float | None
    error: str | None
    report: str | None
    answer: list[str] = field(default_factory=list)
    scores: list[dict] = field(default_factory=list)
    samples: list[dict] = field(default_factory=list)
    mixtures: dict[str, dict] = field(default_factory=dict)
    utility: list[dict] = field(default_factory=list)
    specialisation: list[dict] = field(default_factory=list)
    forecast: list[dict] = field(default_factory=list)
    models: list[dict] = field(default_factory=list)
    duel: list[dict] = field(default_factory=list)
    stitch_duel: list[dict] = field(default_factory=list)
    efficiency: list[dict] = field(default_factory=list)
    harm: list[dict] = field(default_factory=list)
    forgetting: list[dict] = field(default_factory=list)
    stages: list[dict] = field(default_factory=list)

    def to_dict(self) -> dict:
        return asdict(self)


def results_of(home: Home, record: dict) -> Iterator[Artifact]:
    """The artifacts named in a run's record, in order; what was cleaned away or damaged is left out."""
    store = ArtifactStore(home)
    for entry in record["stages"]:
        try:
            yield store.load(entry["stage"], entry["folder"])
        except Gone:
            continue
        except ValueError as error:
            log.warning("left out: %s", error)


def model_folder(artifact: Artifact) -> Path | None:
    """Where the model of a result lies, a folder of Hugging Face's layout; None where it has none."""
    folder = artifact.path / MODEL
    return folder if (folder / "config.json").is_file() else None


DUELS = ("duel", "stitch_duel", "efficiency")  # facts of what is not the pipeline
LOSSES = ("harm", "forgetting")  # of chat models


def summarise(home: Home, record: dict) -> RunSummary:
    """Collect a run's results from the artifacts named in its record; what was cleaned away is left out."""
    lists = ("answer", "scores", "samples", "utility", "specialisation", "forecast", *DUELS, *LOSSES)
    collected: dict = {"mixtures": {}, "models": [], **{name: [] for name in lists}}
    report = None
    for artifact in results_of(home, record):
        facts = artifact.facts
        if artifact.folder.exists() and (folder := model_folder(artifact)) is not None:
            collected["models"].append({"model": artifact.name or artifact.stage, "folder": str(folder)})
        for name in lists:
            collected[name].extend(facts.get(name, []))
        if "mixture" in facts:
            collected["mixtures"][facts["mixture"]["name"]] = facts["mixture"]["sources"]
        if "page" in facts:
            report = str(artifact.path / facts["page"])
    for name in ("scores", "samples"):
        collected[name] = in_order(collected[name], list(collected["mixtures"]))
    ended = record["ended"]
    return RunSummary(
        run_id=record["run_id"],
        name=record["name"],
        status=record["status"],
        started=record["started"],
        seconds=None if ended is None else round(ended - record["started"], 1),
        error=record["error"],
        report=report,
        stages=[_told(entry, home) for entry in record["stages"]],
        **collected,
    )


def in_order(rows: list[dict], solved: list[str]) -> list[dict]:
    """Rows of models in the order in which their mixtures were solved, the last one's at the end, after those of models
    without one: which of several that run side by side ends first is chance.
    """
    places = {name: place for place, name in enumerate(solved[:-1])}
    return sorted(rows, key=lambda row: places.get(row["model"], len(solved) + (row["model"] in solved[-1:])))


def _told(entry: dict, home: Home) -> dict:
    """A stage of a run as `show` gives it."""
    told = {name: entry[name] for name in ("name", "key", "cache_hit", "seconds")}
    folder = home.artifacts / entry["stage"] / entry["folder"]
    return told | {"headline": entry.get("headline", ""), "folder": str(folder)}


def mark_crashed(home: Home, record: dict) -> None:
    """Close the record of a run whose process is gone: the last step of cleaning up after it."""
    closed = {
        **record,
        "status": CRASHED,
        "ended": max(time.time(), record["started"]),
        "error": "the process ended without a word",
    }
    write_record(home, closed)
    Catalog(home).record_run(closed)
