"""Stages `responses` and `programmatic`: rules with known answers rate the run's own models, in nobody's place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from storage.artifact import Artifact
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.evaluation.snapshot_names import model_or_snapshot
from tasks.preference.settings import PreferenceSettings, ProgrammaticSettings
from tasks.sources.expecting import bytes_per_token
from tasks.stage import Progress, show_table, stage_task
from tasks.training.estimates import reading_cost

VERSION = 4
STUDY_FIELDS = {"method", "confidence", "permutations", "random_seed"}


@stage_task(name="responses", task_run_name="respond-{name}")
def respond_to_prompts(
    run: AnyRun,
    name: str,
    model: Artifact,
    corpus: Artifact,
    settings: ProgrammaticSettings,
    snapshot: int | None = None,
    bits_per_byte_bytes: int = 0,
) -> Artifact:
    """How one model, or a snapshot as `evaluate_model` takes it, continues held-out text, and how often by the rule.

    bits_per_byte_bytes: of each source's held-out text that bits per byte reads; prompts are of other documents where
    there are enough.
    """
    name, place = model_or_snapshot(name, model, snapshot)
    progress = Progress(run, f"responses/{name}")
    identity = settings.model_dump(mode="json") | {"bits_per_byte_bytes": bits_per_byte_bytes}
    if snapshot is not None:
        identity["snapshot"] = snapshot

    def build(folder: Path) -> dict:
        from tasks.preference.annotation.responding import held_by_category, respond_to_corpus

        progress.say("answering")
        responses, notes = respond_to_corpus(
            model.path / place, name, corpus.path, corpus.facts, settings, bits_per_byte_bytes
        )
        responses.to_parquet(folder / "responses.parquet", index=False)
        return _kept(folder, {"held": held_by_category(responses), "notes": notes})

    inputs = {"sources": corpus.digest, "model": model.digest}
    artifact = run.stage(
        Stage(
            name="responses",
            title="responses",
            did="prompts answered",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            label=name,
            cost=lambda: _cost(model.facts["metrics"], corpus.facts, settings),
            expected=lambda: {"held": [], "notes": []},
            headline=lambda facts: ", ".join(
                f"{row['category']} {row['share']:.2f}" for row in facts["held"]
            ),
        )
    )
    show_table(
        lambda: artifact.facts["held"],
        key=f"responses-{name}",
        description=f"Share of continuations by {name} that hold by rule",
    )
    return artifact


@stage_task(name="programmatic", task_run_name="study-programmatic")
def study_programmatic(
    run: AnyRun,
    settings: PreferenceSettings,
    corpus: Artifact,
    responses: Mapping[str, Artifact],
    scores: Mapping[str, Artifact],
) -> Artifact:
    """Programmatic ratings of the models by category, studied against the run's own scores of them.

    responses, scores: by model. Where too few models answered or have scores, there is no study: `studied` is false and
    the notes say why.
    """
    progress = Progress(run, "programmatic")
    inputs = {"sources": corpus.digest}
    inputs |= {f"responses {name}": artifact.digest for name, artifact in responses.items()}
    inputs |= {f"scores {name}": artifact.digest for name, artifact in scores.items()}

    def build(folder: Path) -> dict:
        import pandas as pd

        from tasks.preference.annotation.own_models import study_responses
        from tasks.preference.annotation.responding import COLUMNS

        progress.say("rating and studying")
        said = [
            pd.read_parquet(artifact.path / "responses.parquet").assign(model=name)
            for name, artifact in responses.items()
        ]
        notes = [note for artifact in responses.values() for note in artifact.facts["notes"]]
        facts = study_responses(
            folder,
            pd.concat(said, ignore_index=True) if said else pd.DataFrame(columns=COLUMNS),
            {name: artifact.facts["scores"] for name, artifact in scores.items()},
            corpus.facts["tasks"],
            settings,
            list(dict.fromkeys(notes)),
        )
        return _kept(folder, facts)

    identity = settings.model_dump(mode="json", include=STUDY_FIELDS)
    artifact = run.stage(
        Stage(
            name="programmatic",
            title="programmatic ratings",
            did="studied",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            expected=lambda: {"ratings": [], "studied": False, "notes": []},
            headline=lambda facts: "studied" if facts["studied"] else "; ".join(facts["notes"]),
        )
    )
    show_table(
        lambda: artifact.facts["ratings"],
        key="programmatic-ratings",
        description="Programmatic ratings of the run's models, by rules and not by people",
    )
    return artifact


def _cost(metrics: dict, corpus_facts: dict, settings: ProgrammaticSettings) -> Cost:
    requests = settings.items * len(corpus_facts["sources"])
    prompt = settings.prompt_characters / bytes_per_token(corpus_facts)
    tokens = requests * (prompt + settings.new_tokens)
    return reading_cost(metrics, tokens, requests, 0.0, "every source gives as many prompts as it may")


def _kept(folder: Path, facts: dict) -> dict:
    """The facts, in a file of the artifact too: stages that read them know it by the digest of its files."""
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return facts
