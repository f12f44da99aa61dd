"""Stage `sources`: the corpus that everything later is trained and measured on."""

from __future__ import annotations

from pathlib import Path

from storage.artifacts import Artifact
from storage.fingerprint import digest_file, digest_files, digest_pretrained
from storage.runs import Run
from tasks.evaluation.settings import EvaluationSettings
from tasks.sources.readers import input_files, resolve_sources
from tasks.sources.settings import SourceSettings, SourcesSettings
from tasks.task import Progress, show_table, stage_task

VERSION = 1
ITEM_FIELDS = {
    "made",
    "lm_eval_tasks",
    "dev_share",
    "max_items",
}  # what decides the items, beside their files


class HubUnreachable(ValueError):
    """Which commit of a dataset is the newest cannot be known now."""


def source_inputs(sources: tuple[SourceSettings, ...]) -> dict[str, str]:
    """What each source is read from, as a digest: of its files, or of the dataset's commit."""
    inputs = {}
    for source in sources:
        if source.reader == "huggingface":
            inputs[f"source {source.name}"] = _dataset_commit(source)
        elif files := input_files(source):
            inputs[f"source {source.name}"] = digest_files(files)
    return inputs


def _dataset_commit(source: SourceSettings) -> str:
    if source.revision is not None:
        return source.revision
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return HfApi().dataset_info(str(source.dataset)).sha or ""
    except (OSError, httpx2.HTTPError, HfHubHTTPError) as error:
        raise HubUnreachable(
            f"source {source.name!r}: the newest commit of Hugging Face dataset {source.dataset!r} could not be "
            f"asked for ({type(error).__name__}); allowed: a network connection, or a commit in `revision`"
        ) from error


def benchmark_inputs(evaluation: EvaluationSettings) -> dict[str, str]:
    """Digests of the benchmark files and task files that the settings name, by name: a task is named for its file."""
    inputs = {}
    for field in ("folder", "task_folder"):
        folder: Path | None = getattr(evaluation, field)
        if folder is not None:
            if not folder.is_dir():
                raise ValueError(f"evaluation.{field}={folder}: no such folder")
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                inputs[f"evaluation.{field} {path.relative_to(folder)}"] = digest_file(path)
    return inputs


def sources_identity(
    settings: SourcesSettings, evaluation: EvaluationSettings, seed: int
) -> tuple[dict, dict]:
    """(settings, inputs) that identify the prepared corpus; where files lie does not count, what they hold does."""
    sources = resolve_sources(settings)
    kept = settings.model_dump(mode="json", exclude={"listed", "folder"})
    kept["sources"] = [source.model_dump(mode="json", exclude={"path"}) for source in sources]
    kept["evaluation"] = evaluation.model_dump(mode="json", include=ITEM_FIELDS)
    kept["seed"] = seed
    inputs = {**source_inputs(sources), **benchmark_inputs(evaluation)}
    if (pretrained := kept["tokenizer"].pop("pretrained")) is not None:
        inputs["tokenizer"] = digest_pretrained(pretrained)
    return kept, inputs


@stage_task(name="sources", task_run_name="sources")
def prepare_sources(
    run: Run, settings: SourcesSettings, evaluation: EvaluationSettings, seed: int
) -> Artifact:
    """Read, split, decontaminate and tokenise all sources."""
    progress = Progress(run, "sources")
    identity, inputs = sources_identity(settings, evaluation, seed)

    def build(folder: Path) -> dict:
        from tasks.evaluation.corpus import harness_texts
        from tasks.sources.benchmarks import collect_benchmarks
        from tasks.sources.preparation import prepare

        return prepare(
            sources=resolve_sources(settings),
            settings=settings,
            make_benchmarks=lambda heldout: collect_benchmarks(heldout, evaluation, seed, progress.warn),
            harness_texts=harness_texts(evaluation),
            dev_share=evaluation.dev_share,
            folder=folder,
            report=progress.say,
        )

    artifact = run.stage("sources", VERSION, identity, inputs, build)
    show_table(
        lambda: [
            {"source": name, **{k: v for k, v in count.items() if k != "contaminated"}}
            for name, count in artifact.facts["sources"].items()
        ],
        key="sources",
        description="Sources after deduplication and decontamination",
    )
    return artifact
