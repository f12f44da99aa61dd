"""A model of a run as a folder that other tools load: weights, tokenizer, settings of generation, and a card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storage.artifact import Artifact
from storage.manifests import read_manifest
from storage.runs import model_folder
from tasks.evaluation.snapshot_names import model_or_snapshot, trained_model
from tasks.report.formatting import with_error
from tasks.stitching.cards import table, write_card
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.training.parameter_counts import said_parameters

SEED = "seed"
GIVEN = "not known: given"


def find_model(artifacts: Sequence[Artifact], name: str) -> tuple[Artifact, str]:
    """(result, folder in it) of the model that a run calls so: its name, <name>@<step>, or its folder in the home.

    Raises ValueError where there is none, or several.
    """
    models = [a for a in artifacts if model_folder(a) is not None]
    wanted, _, step = name.partition("@")
    found = {a.path: a for a in models if wanted in (_called(a), a.label, a.folder.name)}
    if len(found) != 1:
        names = [_called(a) for a in models]
        allowed = [_called(a) if names.count(_called(a)) == 1 else a.folder.name for a in models]
        why = "is the name of several models" if found else "no such model in the run"
        raise ValueError(
            f"MODEL={name}: {why}; allowed: {', '.join(dict.fromkeys(allowed)) or 'none, as it has no models'}"
        )
    (artifact,) = found.values()
    if step and not step.isdigit():
        raise ValueError(f"MODEL={name}: {step!r} is no step; allowed: a whole number")
    return artifact, model_or_snapshot(wanted, artifact, int(step) if step else None)[1]


def export_model(
    artifacts: Sequence[Artifact], artifact: Artifact, place: str, folder: Path, name: str
) -> Path:
    """Write the model in `place` of the artifact into `folder` and return its card's path.

    artifacts: of the run. name: as the run's scores call it, and as the card does.
    """
    from transformers import AutoConfig, GenerationConfig

    import models  # noqa: F401  (registers our own architectures)
    from tasks.stitching.joined_models import save_tokenizer

    corpus = next(a for a in artifacts if a.stage == "sources")
    shutil.copytree(artifact.path / place, folder, dirs_exist_ok=True)
    if not (folder / "generation_config.json").exists():
        GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    save_tokenizer(str(corpus.path / "tokenizer"), folder)
    manifest = _manifest(artifact)
    sections = {"Size": _size(artifact), "Trained on": _data(artifacts, artifact, manifest)}
    if told := _scores(artifacts, name):
        sections["Scores"] = told
    sections["Made by"] = _made_by(artifact)
    return write_card(folder, name, _what(artifacts, artifact, manifest, name), sections)


def _called(artifact: Artifact) -> str:
    return artifact.name or artifact.stage


def _manifest(artifact: Artifact) -> dict[str, Any]:
    manifest = read_manifest(artifact.path)
    assert manifest is not None
    return manifest


def _served(artifacts: Sequence[Artifact], name: str) -> str:
    """The benchmarks that an expert's mixture was for."""
    told = [a.facts["own_tasks"] for a in artifacts if a.stage == "mixture" and a.name == trained_model(name)]
    return f" for {', '.join(told[0])}" if told and told[0] else " of its own"


def _what(artifacts: Sequence[Artifact], artifact: Artifact, manifest: dict[str, Any], name: str) -> str:
    settings = manifest["settings"]
    on_its_way = f" `{name}`: a copy that was kept on the way." if "@" in name else ""
    if artifact.facts.get("given"):
        return f"The model `{name}` as it was given ({artifact.provenance['pretrained']}): not trained here."
    if artifact.stage == "composition":
        composition = COMPOSITIONS_BY_NAME[settings["method"]]
        return (
            f"A seed and its experts {', '.join(settings['experts'])} combined: {composition.title}, "
            f"{composition.line}.{on_its_way}"
        )
    if artifact.stage == "expert":
        purpose = _served(artifacts, name)
        return f"An expert: branched from a seed model and trained on along a mixture{purpose}.{on_its_way}"
    if artifact.stage == SEED:
        return f"A seed model, trained on a mixture for all benchmarks.{on_its_way}"
    return on_its_way


def _size(artifact: Artifact) -> str:
    """Weights, and where it is a mixture of experts, how many a token meets and how they were trained."""
    told = f"{said_parameters(artifact.facts['metrics'])}."
    if "routing" not in artifact.facts:
        return told
    shares = [told for name, told in artifact.facts["metrics"].items() if name.startswith("dropped_choice_")]
    dropped = ", ".join(f"{share:.1%}" for share in shares)
    return (
        f"{told} In training, of the tokens' first, second, ... choices of experts {dropped} "
        "found no slot and were dropped; loaded elsewhere, as in the scores below, nothing is dropped."
    )


def _data(artifacts: Sequence[Artifact], artifact: Artifact, manifest: dict[str, Any]) -> str:
    """Tokens by source of the model and of those that it is made of."""
    by_digest = {a.digest: a for a in artifacts if model_folder(a) is not None}
    behind = [by_digest[digest] for digest in manifest["inputs"].values() if digest in by_digest]
    chain = {_called(a): a for a in (*behind, artifact)}
    read = {name: a.facts.get("trained_tokens", {}) for name, a in chain.items()}
    sources = list(dict.fromkeys(source for tokens in read.values() for source in tokens))
    rows = [(source, *(f"{read[name].get(source, 0):,}" for name in chain)) for source in sources]
    sums = tuple(
        GIVEN if a.facts.get("given") else f"{sum(read[name].values()):,}" for name, a in chain.items()
    )
    told = table(("tokens of", *chain), [*rows, ("in all", *sums)])
    return f"Training tokens by source, of this model and of those that it is made of.\n\n{told}"


def _scores(artifacts: Sequence[Artifact], name: str) -> str:
    rows = [
        (row["task"], row["metric"], with_error(row["value"], row["stderr"]), str(row.get("n") or ""))
        for a in artifacts
        if a.stage == "evaluation"
        for row in a.facts["scores"]
        if row["model"] == name
    ]
    if not rows:
        return ""
    return "± is one standard error over items.\n\n" + table(("task", "metric", "score", "items"), rows)


def _made_by(artifact: Artifact) -> str:
    made = artifact.provenance
    packages = ", ".join(
        f"{package} {version}"
        for package, version in made.get("packages", {}).items()
        if package in ("torch", "transformers")
    )
    return f"Mixstitch, commit {made.get('commit') or 'unknown'}, with {packages}; result `{artifact.key}`."
