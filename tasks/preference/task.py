"""Stage `preference`: human ratings of the run's models, forecast from the benchmarks of public ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from storage.artifact import Artifact
from storage.fingerprint import digest_file
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.preference.settings import PreferenceSettings
from tasks.stage import Progress, show_table, stage_task

VERSION = 6
STUDY_SECONDS = 10.0


def check_preference(settings: PreferenceSettings) -> None:
    """Raise ValueError for a table, rating or benchmark that a forecast would fail on, before anything is trained."""
    from tasks.preference.public_table import read_table
    from tasks.preference.run_models import public_models

    public_models(read_table(settings.table), settings)


@stage_task(name="preference", task_run_name="forecast-preference")
def forecast_preference(
    run: AnyRun,
    settings: PreferenceSettings,
    scores: Mapping[str, Artifact],
    tasks: Collection[str] | None = None,
) -> Artifact:
    """What people would think of each model of the run by category, or which benchmarks it lacks for that.

    Where no task is a benchmark of the table nothing is studied, and the facts say why (`left_out`). tasks: what the
    models are scored on, where that is known before they are; a plan asks it.
    """
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
        from tasks.preference.run_models import forecast_rows, left_out_words, not_forecast, with_run

        table = read_table(settings.table)
        rows = pd.DataFrame([row for artifact in scores.values() for row in artifact.facts["scores"]])
        joined = with_run(rows, table, settings)
        facts = {"confidence": settings.confidence, "left_out": ""}
        if not joined.own.unrated:
            return {
                **facts,
                "forecast": not_forecast(joined.lacking),
                "notes": list(joined.own.notes),
                "left_out": left_out_words(table, settings),
            }
        from tasks.preference.study import study

        progress.say("fitting and validating")
        about = {
            "table": Path(table.figures.name).name,
            "lacking": joined.lacking,
            "sources": table.sources,
            "unit": "" if settings.ratings else table.units.get(settings.rating, ""),
        }
        found = study(joined.public, settings, about, joined.own)
        found.save(folder)
        return {
            **facts,
            "forecast": forecast_rows(joined.lacking, found.rows, found.models),
            "notes": list(found.notes),
        }

    def cost() -> Cost:
        from tasks.preference.public_table import read_table
        from tasks.preference.run_models import any_usable, left_out_words

        table = read_table(settings.table)
        if tasks is not None and not any_usable(table, settings, tasks):
            return Cost(basis=left_out_words(table, settings))
        return Cost(seconds=STUDY_SECONDS, basis="a study of tens of models takes seconds")

    artifact = run.stage(
        Stage(
            name="preference",
            title="preference",
            did="forecast",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            cost=cost,
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
    if facts["left_out"]:
        return facts["left_out"]
    told = [row for row in facts["forecast"] if row["rating"] is not None]
    return f"{len({row['model'] for row in told})} models forecast in {len({row['target'] for row in told})} categories"
