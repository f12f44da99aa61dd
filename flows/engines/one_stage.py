"""One stage of an experiment, made in this process: the walk of the pipeline on which only that stage does its work.

`python -m flows.engines.one_stage` reads what is wanted from its standard input, as JSON, and writes what became of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

import psutil

from flows.engines.engine import Wanted
from flows.engines.on_worker import DONE, REFUSED
from flows.environment import open_home, prepare_environment
from storage.artifact import Artifact, key_of
from storage.home import Home
from storage.planned import PlannedRun
from storage.processes import end_all, marking_children
from storage.stages import Stage
from storage.unrecorded import Reached

PARENT_SECONDS = 1.0


class OneStageRun(PlannedRun):
    """Walks a pipeline whose results are in the store, and builds the stage of one key."""

    run_id = "one stage"

    def __init__(self, home: Home, key: str) -> None:
        super().__init__(home)
        self.key = key

    def stage(self, stage: Stage) -> Artifact:
        if key_of(stage) != self.key:
            return super().stage(stage)
        self.store.produce(stage)
        raise Reached(stage.name)


def make(wanted: Wanted) -> None:
    """Build the stage into this process's home and the shared store. ValueError where the walk does not lead to it."""
    from flows.allowed import check_keys
    from flows.experiment import walk
    from flows.settings import Experiment

    experiment = Experiment.model_validate(wanted.experiment)
    check_keys(experiment)
    home = open_home()
    with marking_children(home):
        try:
            walk(OneStageRun(home, wanted.key), experiment)
        except Reached:
            return
    raise ValueError(
        f"{wanted.label}: no stage of key {wanted.key[:16]} on the way of this experiment here: the worker's version "
        "or its files are other ones; mixstitch doctor --site compares them"
    )


def _end_with_parent(parent: int) -> None:
    """A worker that was killed leaves its stage behind; it ends, with all that it has started."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    _end_children()
    os._exit(1)


def _end_children() -> None:
    end_all(psutil.Process().children(recursive=True))


def _terminated(*_: object) -> None:
    _end_children()
    os._exit(128 + signal.SIGTERM)


def main() -> None:
    signal.signal(signal.SIGTERM, _terminated)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    told, sys.stdout = sys.stdout, sys.stderr  # what stages print is no answer
    prepare_environment()
    asked = json.load(sys.stdin)
    wanted = Wanted(**{**asked, "resources": tuple(map(tuple, asked["resources"]))})
    try:
        make(wanted)
        answer = (DONE, "")
    except ValueError as error:
        answer = (REFUSED, str(error))
    print(json.dumps(answer), file=told, flush=True)


if __name__ == "__main__":
    main()
