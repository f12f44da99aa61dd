"""Stage `preference`: human ratings of the run's models, forecast from the benchmarks of public ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from storage.artifacts import Artifact
from storage.fingerprint import digest_file
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.preference.settings import PreferenceSettings
from tasks.stage import Progress, show_table, stage_task

VERSION = 6
STUDY_SECONDS = 5.0


def check_preference(settings: PreferenceSettings) -> None:
    """Raise ValueError for a table, rating or benchmark that a forecast would fail on, before anything is trained."""
    from tasks.preference.public_table import read_table
    from tasks.preference.run_models import public_models

    public_models(read_table(settings.table), settings)


@stage_task(name="preference", task_run_name="forecast-preference")
def forecast_preference(
    run: AnyRun, settings: PreferenceSettings, scores: Mapping[str, Artifact]
) -> Artifact:
    """What people would think of each model of the run by category, or which benchmarks it lacks for that."""
    from tasks.preference.public_table import BUNDLED

    files = {"table": settings.table or BUNDLED, "ratings": settings.ratings}
    for name, path in files.items():
        if path is not None and not path.is_file():
            raise ValueError(f"preference.{name}={path}: no such file")
    progress = Progress(run, "preference")
    inputs = {f"scores {name}": artifact.digest for name, artifact in scores.items()}
    inputs |= {name: digest_file(path) for name, path in files.items() if path is not None}
    identity = settings.model_dump(mode="json", exclude={"table", "ratings", "programmatic"})

    def build(folder: Path) -> dict:
        import pandas as pd

        from tasks.preference.public_table import read_table
        from tasks.preference.run_models import forecast_rows, with_run
        from tasks.preference.study import study

        progress.say("fitting and validating")
        table = read_table(settings.table)
        rows = pd.DataFrame([row for artifact in scores.values() for row in artifact.facts["scores"]])
        joined = with_run(rows, table, settings)
        about = {
            "table": Path(table.figures.name).name,
            "lacking": joined.lacking,
            "sources": table.sources,
            "unit": "" if settings.ratings else table.units.get(settings.rating, ""),
        }
        found = study(joined.public, settings, about, joined.own)
        found.save(folder)
        return {
            "forecast": forecast_rows(joined.lacking, found.rows, found.models),
            "notes": list(found.notes),
        }

    artifact = run.stage(
        Stage(
            name="preference",
            title="preference",
            did="forecast",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            cost=lambda: Cost(seconds=STUDY_SECONDS, basis="a study of tens of models takes seconds"),
            expected=lambda: {"forecast": [], "notes": []},
            headline=_headline,
        )
    )
    show_table(
        lambda: artifact.facts["forecast"],
        key="forecast",
        description="Human ratings forecast from benchmarks",
    )
    return artifact


def _headline(facts: dict) -> str:
    told = [row for row in facts["forecast"] if row["rating"] is not None]
    if not told:
        return "no forecast: the run lacks benchmarks that the ratings are known by"
    return f"{len({row['model'] for row in told})} models forecast in {len({row['target'] for row in told})} categories"
