"""Stage `languages`: a model of the run on a benchmark in many languages, in every cell of the cube."""

from __future__ import annotations

import functools
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from storage.artifact import Artifact
from storage.artifacts import environment
from storage.fingerprint import digest_file, digest_value
from storage.kept_scores import AnswerStore
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.languages.settings import LanguagesSettings
from tasks.sources.expecting import bytes_per_token
from tasks.stage import Progress, show_table, stage_task
from tasks.training.estimates import reading_cost

if TYPE_CHECKING:
    from tasks.languages.cube import Cube

VERSION = 2
SECONDS_A_TEXT = 0.4e-3  # tokenising and bookkeeping, on one core
PLACES = {"files", "demonstration_files", "templates", "models", "most_texts", "check_items"}


@functools.lru_cache(maxsize=1)
def cube_of(settings: LanguagesSettings, digests: tuple[str, ...]) -> Cube:
    """The cube, read once for all models of a run. Raises ValueError as `make_cube` does.

    digests: of the files that it is read from, so that a file that has changed since is read again.
    """
    from tasks.languages.cube import make_cube

    return make_cube(settings)


def digests_of(settings: LanguagesSettings) -> dict[str, str]:
    """Digest of each thing that the cube is read from. Raises ValueError for a place where there is nothing."""
    from tasks.languages.parallel_items import files_of

    places = {"files": files_of(settings.files, "languages.files")}
    for number, one in enumerate(settings.demonstration_files):
        where = f"languages.demonstration_files[{number}]"
        places[f"demonstrations {number} {one.language}"] = files_of(one.path, where)
    if settings.templates is not None and settings.templates.is_file():
        places["templates"] = [settings.templates]
    return {what: digest_value([digest_file(path) for path in paths]) for what, paths in places.items()}


@stage_task(name="languages", task_run_name="languages-{name}")
def score_languages(
    run: AnyRun, name: str, model: Artifact, corpus: Artifact, settings: LanguagesSettings, batch_tokens: int
) -> Artifact:
    """The model in every cell. Raises ValueError for what is wrong with the cube's files, before anything is spent."""
    digests = digests_of(settings)
    cube = cube_of(settings, tuple(digests.values()))
    progress = Progress(run, f"languages/{name}")
    inputs = {"sources": corpus.digest, "model": model.digest, **digests}

    def build(folder: Path) -> dict:
        from accelerate import PartialState

        import models
        from tasks.evaluation.model_reading import Reading
        from tasks.languages.asking import ask, write_answers
        from tasks.side_by_side import own_cores
        from tasks.sources.tokenization import load_tokenizer

        packages = {name: environment()["packages"][name] for name in ("torch", "transformers")}
        answers = AnswerStore(run.home, model.digest, {"place": "model", "version": VERSION, **packages})
        with closing(answers), own_cores():
            reading = Reading(batch_tokens, check=settings.check_items, say=progress.say, answers=answers)
            loaded = models.load_causal_lm(model.path / "model").to(PartialState().device)
            tokenizer = load_tokenizer(corpus.path / "tokenizer")
            found = ask(loaded, tokenizer, name, cube, reading, fraction=progress.fraction)
        write_answers(folder, found)
        return {"languages": found.told, "answer": found.told["answer"]}

    def cost() -> Cost:
        size = cube.size()
        tokens = size["bytes_read_once"] / bytes_per_token(corpus.facts)
        basis = f"{size['cells']:,} cells, each block of demonstrations read once; 2 FLOPs a token and active weight"
        return reading_cost(
            model.facts["metrics"], tokens, size["texts"], SECONDS_A_TEXT * size["texts"], basis
        )

    artifact = run.stage(
        Stage(
            name="languages",
            title="languages",
            did="asked in many languages",
            version=VERSION,
            identity={
                **settings.model_dump(mode="json", exclude=PLACES),
                "templates": {code: template.told() for code, template in cube.templates.items()},
            },
            inputs=inputs,
            build=build,
            label=name,
            cost=cost,
            expected=lambda: {"languages": None, "answer": []},
            headline=lambda facts: " ".join(facts["answer"]),
        )
    )
    show_table(
        lambda: artifact.facts["languages"]["cells"],
        key=f"languages-{name}",
        description=f"{name} in many languages",
    )
    return artifact
