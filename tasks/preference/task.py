"""Stage `preference`: human ratings forecast from the benchmark table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from storage.artifacts import Artifact
from storage.fingerprint import digest_file
from storage.runs import Run
from tasks.preference.settings import PreferenceSettings
from tasks.task import Progress, show_table, stage_task

if TYPE_CHECKING:
    import pandas as pd

VERSION = 2
KEPT = ("model", "rating", "low", "high", "extrapolates", "missing")


def check_preference(settings: PreferenceSettings) -> None:
    """Raise ValueError for a table, rating or benchmark that a forecast would fail on, before anything is trained."""
    import pandas as pd

    from tasks.preference.forecasting import forecast

    quick = settings.model_copy(update={"permutations": 99, "bootstraps": 100})
    forecast(pd.DataFrame(columns=["model", "task", "metric", "value", "stderr"]), None, quick)
    if settings.ratings is not None:
        from tasks.preference.profile import public_models
        from tasks.preference.table import read_table

        public_models(read_table(settings.table), settings, settings.ratings)


@stage_task(name="preference", task_run_name="forecast-preference")
def forecast_preference(run: Run, settings: PreferenceSettings, scores: Mapping[str, Artifact]) -> Artifact:
    """What people would think of each model of the run, or which benchmarks it lacks for that."""
    from tasks.preference.table import BUNDLED

    table = settings.table or BUNDLED
    if not table.is_file():
        raise ValueError(f"preference.table={table}: no such file")
    if settings.ratings is not None and not settings.ratings.is_file():
        raise ValueError(f"preference.ratings={settings.ratings}: no such file")
    progress = Progress(run, "preference")
    inputs = {name: artifact.digest for name, artifact in scores.items()} | {"table": digest_file(table)}
    if settings.ratings is not None:
        inputs["ratings"] = digest_file(settings.ratings)
    identity = settings.model_dump(mode="json", exclude={"table", "ratings"})

    def build(folder: Path) -> dict:
        import pandas as pd

        from tasks.preference.forecasting import forecast

        progress.say("fitting and validating")
        rows = [row for artifact in scores.values() for row in artifact.facts["scores"]]
        result = forecast(pd.DataFrame(rows), None, settings)
        result.save(folder)
        forecasts = result.to_json()["rows"]
        facts = {
            "forecast": [{name: row[name] for name in KEPT} for row in forecasts],
            "notes": list(result.notes),
        }
        if settings.ratings is not None:
            facts["profile"] = _profile(pd.DataFrame(rows), settings, folder)
        return facts

    artifact = run.stage("preference", VERSION, identity, inputs, build)
    show_table(
        lambda: artifact.facts["forecast"],
        key="forecast",
        description="Human ratings forecast from benchmarks",
    )
    return artifact


def _profile(scores: pd.DataFrame, settings: PreferenceSettings, folder: Path) -> list[dict]:
    """Forecast by category, kept in profile.json with its evidence."""
    from tasks.preference.profile import forecast_profile
    from tasks.preference.table import read_table

    assert settings.ratings is not None
    told = forecast_profile(scores, read_table(settings.table), settings, settings.ratings).to_json()
    text = json.dumps(told, indent=1, allow_nan=False)
    (folder / "profile.json").write_text(text + "\n", encoding="utf-8")
    return told["forecast"]
