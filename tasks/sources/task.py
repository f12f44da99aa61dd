"""Stage `sources`: the corpus that everything later is trained and measured on."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from storage.artifact import Artifact
from storage.fingerprint import digest_file, digest_value
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.benchmarks.benchmark_files import benchmark_files
from tasks.benchmarks.collecting import check_made_tasks
from tasks.benchmarks.settings import BenchmarkSettings
from tasks.pretrained_places import digest_pretrained
from tasks.sources.readers import input_files
from tasks.sources.resolving import resolve_sources
from tasks.sources.settings import SourceSettings, SourcesSettings, StatedSize
from tasks.sources.token_files import count_tokens
from tasks.stage import Progress, show_table, stage_task

VERSION = 10
ITEM_FIELDS = {
    "made",
    "made_from_each",
    "lm_eval_tasks",
    "dev_share",
    "max_items",
}  # what decides the items, beside their files
COMMIT = re.compile(r"[0-9a-f]{40}")


class HubUnreachable(ValueError):
    """Which commit of a dataset is the newest cannot be known now."""


def sources_to_read(
    settings: SourcesSettings, evaluation: BenchmarkSettings, not_known: Callable[[HubUnreachable], None]
) -> tuple[SourceSettings, ...]:
    """All sources, those of Hugging Face at a commit, sizes that files tell as tokens.

    What identifies the corpus is also what is read.

    not_known: called where a commit cannot be asked for; where it returns, the source stays as it is named. Raises
    ValueError where a made task has no source.
    """
    sources = resolve_sources(settings)
    check_made_tasks(evaluation, [source.name for source in sources])
    read = []
    for source in sources:
        if source.size is not None and source.size.token_files is not None:
            source = source.model_copy(update={"size": _counted(source.name, source.size)})
        if source.reader == "huggingface":
            try:
                source = source.model_copy(update={"revision": _dataset_commit(source)})
            except HubUnreachable as error:
                not_known(error)
        read.append(source)
    return tuple(read)


def _counted(name: str, size: StatedSize) -> StatedSize:
    setting = f"source {name!r}: size.token_files"
    return StatedSize(tokens=count_tokens(str(size.token_files), size.dtype, setting))


def _dataset_commit(source: SourceSettings) -> str:
    if source.revision is not None and COMMIT.fullmatch(source.revision):
        return source.revision
    import httpx2
    from huggingface_hub import HfApi

    wanted = f"commit of Hugging Face dataset {source.dataset!r}" + (
        f" at revision {source.revision!r}" if source.revision is not None else ""
    )
    try:
        commit = HfApi().dataset_info(str(source.dataset), revision=source.revision).sha
    except (OSError, httpx2.HTTPError) as error:
        raise HubUnreachable(
            f"source {source.name!r}: the newest {wanted} could not be asked for ({type(error).__name__}); "
            "allowed: a network connection, or a commit (40 hexadecimal digits) in `revision`"
        ) from error
    except ValueError as error:
        raise ValueError(f"source {source.name!r}: the newest {wanted}: {error}") from error
    if commit is None:
        raise ValueError(
            f"source {source.name!r}: the Hub names no {wanted}; allowed: a commit in `revision`"
        )
    return commit


def source_inputs(sources: tuple[SourceSettings, ...]) -> dict[str, str]:
    """What each source is read from, as a digest: of its files, or of the dataset's commit.

    Raises ValueError naming source and file where one cannot be read.
    """
    inputs = {}
    for source in sources:
        if source.reader == "huggingface":
            inputs[f"source {source.name}"] = str(source.revision)
        elif files := input_files(source):
            digests = [_digest(path, f"source {source.name!r}") for path in files]
            inputs[f"source {source.name}"] = digest_value(digests)
    return inputs


def benchmark_inputs(evaluation: BenchmarkSettings) -> dict[str, str]:
    """Digests of the benchmark files and task files that the settings name, by name: a task is named for its file.

    What Python compiles beside a task file does not count. Raises ValueError naming a folder that is missing and
    a file that cannot be read.
    """
    files: list[tuple[str, Path, Path]] = []
    if (folder := evaluation.folder) is not None:
        read = benchmark_files(folder).values()
        files += [("evaluation.folder", folder, path) for path in read]
    if (folder := evaluation.task_folder) is not None:
        if not folder.is_dir():
            raise ValueError(f"evaluation.task_folder={folder}: no such folder")
        beside = sorted(p for p in folder.rglob("*") if p.is_file() and p.parent.name != "__pycache__")
        files += [("evaluation.task_folder", folder, path) for path in beside]
    return {
        f"{field} {path.relative_to(folder)}": _digest(path, f"{field}={folder}")
        for field, folder, path in files
    }


def _digest(path: Path, setting: str) -> str:
    try:
        return digest_file(path)
    except OSError as error:
        raise ValueError(f"{setting}: {path}: cannot be read: {error.strerror or error}") from error


def sources_identity(
    sources: tuple[SourceSettings, ...],
    settings: SourcesSettings,
    evaluation: BenchmarkSettings,
    random_seed: int,
) -> tuple[dict, dict]:
    """(settings, inputs) that identify the prepared corpus; where files lie does not count, what they hold does."""
    kept = settings.model_dump(mode="json", exclude={"listed", "folder", "workers"})
    if settings.fuzzy_duplicates is None:  # as before there was the setting
        del kept["fuzzy_duplicates"]
    kept["sources"] = [source.model_dump(mode="json", exclude={"path"}) for source in sources]
    kept["evaluation"] = evaluation.model_dump(mode="json", include=ITEM_FIELDS)
    kept["random_seed"] = random_seed
    inputs = {**source_inputs(sources), **benchmark_inputs(evaluation)}
    if (pretrained := kept["tokenizer"].pop("pretrained")) is not None:
        inputs["tokenizer"] = digest_pretrained(pretrained)
    return kept, inputs


@stage_task(name="sources", task_run_name="sources")
def prepare_sources(
    run: AnyRun, settings: SourcesSettings, evaluation: BenchmarkSettings, random_seed: int
) -> Artifact:
    """Read, split, decontaminate and tokenise all sources."""
    progress = Progress(run, "sources")
    sources = sources_to_read(settings, evaluation, run.not_known)
    identity, inputs = sources_identity(sources, settings, evaluation, random_seed)

    def build(folder: Path) -> dict:
        from tasks.benchmarks.collecting import collect_benchmarks, harness_texts
        from tasks.sources.preparation import prepare

        return prepare(
            sources=sources,
            settings=settings,
            make_benchmarks=lambda heldout: collect_benchmarks(
                heldout, evaluation, random_seed, progress.warn
            ),
            harness_texts=harness_texts(evaluation),
            dev_share=evaluation.dev_share,
            folder=folder,
            report=progress.say,
        )

    @functools.cache
    def expected() -> dict:
        from tasks.sources.expecting import expected_corpus

        return expected_corpus(sources, settings, evaluation)

    def cost() -> Cost:
        from tasks.sources.expecting import corpus_cost

        return corpus_cost(expected())

    artifact = run.stage(
        Stage(
            name="sources",
            title="sources",
            did="counted, split, cleaned",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            cost=cost,
            expected=expected,
            headline=_headline,
        )
    )
    show_table(
        lambda: [
            {"source": name, **{k: v for k, v in count.items() if k != "contaminated"}}
            for name, count in artifact.facts["sources"].items()
        ],
        key="sources",
        description="Sources after deduplication and decontamination",
    )
    return artifact


def _headline(facts: dict) -> str:
    tokens = sum(count["tokens"] for count in facts["sources"].values())
    stated = f" (of {len(facts['read_as_samples'])} as stated)" if facts["read_as_samples"] else ""
    by_language = ", ".join(f"{code} {cut:.2f}" for code, cut in bytes_per_token(facts["sources"]).items())
    return f"{len(facts['sources'])} sources, {tokens:,} tokens{stated}; {len(facts['tasks'])} tasks" + (
        f"; bytes a token: {by_language}" if by_language else ""
    )


def bytes_per_token(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Of each language that sources say is theirs: how the tokenizer cuts it; the worst first."""
    sizes: dict[str, list[int]] = {}
    for told in sources.values():
        if language := told.get("language"):
            size = sizes.setdefault(language, [0, 0])
            size[0] += told["bytes"]
            size[1] += told["tokens"]
    found = {language: size / max(tokens, 1) for language, (size, tokens) in sizes.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]))
