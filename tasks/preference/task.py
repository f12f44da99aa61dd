"""Stage `preference`: human ratings forecast from the benchmark table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from storage.artifacts import Artifact
from storage.fingerprint import digest_file
from storage.runs import Run
from tasks.preference.settings import PreferenceSettings
from tasks.task import Progress, show_table, stage_task

VERSION = 2
KEPT = ("model", "rating", "low", "high", "extrapolates", "missing")


def check_preference(settings: PreferenceSettings) -> None:
    """Raise ValueError for a table, rating or benchmark that a forecast would fail on, before anything is trained."""
    import pandas as pd

    from tasks.preference.forecasting import forecast

    quick = settings.model_copy(update={"permutations": 99, "bootstraps": 100})
    forecast(pd.DataFrame(columns=["model", "task", "metric", "value", "stderr"]), None, quick)


@stage_task(name="preference", task_run_name="forecast-preference")
def forecast_preference(run: Run, settings: PreferenceSettings, scores: Mapping[str, Artifact]) -> Artifact:
    """What people would think of each model of the run, or which benchmarks it lacks for that."""
    from tasks.preference.table import BUNDLED

    table = settings.table or BUNDLED
    if not table.is_file():
        raise ValueError(f"preference.table={table}: no such file")
    progress = Progress(run, "preference")
    inputs = {name: artifact.digest for name, artifact in scores.items()} | {"table": digest_file(table)}
    identity = settings.model_dump(mode="json", exclude={"table"})

    def build(folder: Path) -> dict:
        import pandas as pd

        from tasks.preference.forecasting import forecast

        progress.say("fitting and validating")
        rows = [row for artifact in scores.values() for row in artifact.facts["scores"]]
        result = forecast(pd.DataFrame(rows), None, settings)
        result.save(folder)
        forecasts = result.to_json()["rows"]
        return {
            "forecast": [{name: row[name] for name in KEPT} for row in forecasts],
            "notes": list(result.notes),
        }

    artifact = run.stage("preference", VERSION, identity, inputs, build)
    show_table(
        lambda: artifact.facts["forecast"],
        key="forecast",
        description="Human ratings forecast from benchmarks",
    )
    return artifact
