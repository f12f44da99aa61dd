"""Stage `report`: one HTML page about a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from storage.artifacts import Artifact
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.stage import Progress, show_text, stage_task

VERSION = 6
PAGE = "report.html"


@stage_task(name="report", task_run_name="report")
def write_report(
    run: AnyRun,
    title: str,
    corpus: Artifact,
    utility: Artifact,
    mixtures: Mapping[str, Artifact],
    models: Mapping[str, Artifact],
    scores: Mapping[str, Artifact],
    specialisation: Artifact,
    forecast: Artifact,
    snapshots: Mapping[str, Artifact],
    responses: Mapping[str, Artifact],
    programmatic: Artifact | None = None,
) -> Artifact:
    """The page, made anew where anything that it shows has changed.

    snapshots: scores of models on their way. responses: what `programmatic` rates. Both by name.
    """
    progress = Progress(run, "report")
    inputs = {
        "sources": corpus.digest,
        "utility": utility.digest,
        "specialisation": specialisation.digest,
        "forecast": forecast.digest,
    }
    if programmatic is not None:
        inputs["programmatic"] = programmatic.digest
    named = {
        "mixture": mixtures,
        "model": models,
        "scores": scores,
        "snapshot": snapshots,
        "responses": responses,
    }
    for kind, artifacts in named.items():
        inputs |= {f"{kind} {name}": artifact.digest for name, artifact in artifacts.items()}

    def build(folder: Path) -> dict:
        from tasks.report.page import ReportData, write_page

        progress.say("drawing")
        data = ReportData(
            title,
            corpus,
            utility,
            mixtures,
            models,
            scores,
            specialisation,
            forecast,
            snapshots,
            responses,
            programmatic,
        )
        write_page(data, folder / PAGE)
        return {"page": PAGE}

    artifact = run.stage(
        Stage(
            name="report",
            title="report",
            did="written",
            version=VERSION,
            identity={"title": title},
            inputs=inputs,
            build=build,
            expected=lambda: {"page": PAGE},
            headline=lambda facts: facts["page"],
        )
    )
    show_text(
        lambda: f"# {title}\n\nRun `{run.run_id}`. The report opens from disk: `{artifact.path / PAGE}`",
        key="report",
        description="Where the report is",
    )
    return artifact
