"""Stage `report`: one HTML page about a run."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from storage.artifact import Artifact
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.report.run_results import PAGE, RunResults
from tasks.stage import Progress, show_text, stage_task

VERSION = 15


@stage_task(name="report", task_run_name="report")
def write_report(run: AnyRun, results: RunResults) -> Artifact:
    """The page, made anew where anything that it shows has changed."""
    progress = Progress(run, "report")
    experts = {name: list(tasks) for name, tasks in results.experts.items()}

    def build(folder: Path) -> dict:
        from tasks.report.page import ReportData, write_page

        progress.say("drawing")
        told = {each.name: getattr(results, each.name) for each in fields(results)}
        return {"page": PAGE, "answer": write_page(ReportData(**told), folder / PAGE)}

    artifact = run.stage(
        Stage(
            name="report",
            title="report",
            did="written",
            version=VERSION,
            identity={"title": results.title} | ({"experts": experts} if experts else {}),
            inputs=results.inputs,
            build=build,
            expected=lambda: {"page": PAGE, "answer": []},
            headline=lambda facts: facts["page"],
        )
    )
    show_text(
        lambda: (
            f"# {results.title}\n\n"
            + "".join(f"- {sentence}\n" for sentence in artifact.facts["answer"])
            + f"\nRun `{run.run_id}`. The report opens from disk: `{artifact.path / PAGE}`"
        ),
        key="report",
        description="What was found, and where the report is",
    )
    return artifact
