"""Stage `utility`: how useful each source is for each task."""

from __future__ import annotations

from pathlib import Path

from storage.artifacts import Artifact
from storage.fingerprint import digest_file
from storage.runs import Run
from tasks.sources.items import Benchmark, dev_texts, read_items
from tasks.task import Progress, show_table, stage_task
from tasks.utility.settings import UtilitySettings

VERSION = 1
HOW_REQUESTS_ARE_MADE = ("api_key_variable", "concurrency", "timeout_seconds", "retries")


@stage_task(name="utility", task_run_name="utility-{settings.method}")
def estimate_utility(run: Run, settings: UtilitySettings, corpus: Artifact) -> Artifact:
    """The utility matrix, sources x tasks, with standard errors, by the method of the settings."""
    progress = Progress(run, "utility")
    inputs = {"sources": corpus.digest}
    if settings.method == "table":
        if settings.table is None or not settings.table.is_file():
            raise ValueError(
                f"utility.table={settings.table}: no such file; the method 'table' reads a CSV file"
            )
        inputs["table"] = digest_file(settings.table)
    identity = settings.model_dump(mode="json", include={"method", settings.method} - {"table"})
    if settings.method == "medu":
        identity["medu"] = {k: v for k, v in identity["medu"].items() if k not in HOW_REQUESTS_ARE_MADE}

    def build(folder: Path) -> dict:
        tasks = corpus.facts["tasks"]
        samples = {
            name: [row["text"] for row in read_items(corpus.path / "samples" / f"{name}.jsonl")]
            for name in corpus.facts["sources"]
        }
        dev = {name: _dev_texts(corpus, name, about) for name, about in tasks.items()}
        if settings.method == "ngram":
            from tasks.utility.ngram import ngram_utility

            matrix = ngram_utility(samples, dev, settings.ngram)
        elif settings.method == "medu":
            from tasks.utility.medu import medu_utility

            matrix = medu_utility(samples, dev, settings.medu, folder / "progress", progress.say)
        else:
            from tasks.utility.table import table_utility

            assert settings.table is not None
            matrix = table_utility(settings.table, list(samples), list(tasks))
        matrix.save(folder)
        return {"utility": matrix.rows(), "method": settings.method, "about": matrix.about}

    artifact = run.stage("utility", VERSION, identity, inputs, build)
    show_table(
        lambda: artifact.facts["utility"],
        key="utility",
        description=f"Utility by {settings.method}, with standard errors",
    )
    return artifact


def _dev_texts(corpus: Artifact, name: str, about: dict) -> list[str]:
    items = read_items(corpus.path / "tasks" / f"{name}.dev.jsonl")
    if about["kind"] == "harness":
        return [item["text"] for item in items]
    return dev_texts(Benchmark(name, about["kind"], about["source"], about["metric"], items))
