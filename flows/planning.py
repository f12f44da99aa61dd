"""What a run would do and cost, found by walking the pipeline with a run that does no work."""

from __future__ import annotations

from typing import Any

from flows.environment import open_home
from flows.experiment import walk
from flows.inputs import check_inputs
from flows.settings import Experiment
from storage.planned import PlannedRun, totals
from tasks.training.estimates import expected_flops_per_second


def plan_experiment(e: Experiment) -> dict[str, Any]:
    """{"name", "stages", "tokens", "read", "flops", "disk_gb", "requests", "minutes", "notes"}.

    stages: in order, as `PlannedRun.rows` gives them. The totals are of what is not there yet. Nothing is written
    and no server is started. Raises ValueError for what is wrong with the experiment's inputs.
    """
    check_inputs(e)
    run = PlannedRun(open_home())
    walk(run, e)
    speed, speed_note = expected_flops_per_second(run.home, e.training.precision)
    rows = run.rows(speed)
    return {"name": e.name, "stages": rows, **totals(rows), "notes": [*run.notes, speed_note, *run.bases()]}
