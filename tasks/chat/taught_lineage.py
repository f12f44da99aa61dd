"""What a model was taught and what chose its data, read from the results that it is made of and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.artifact import Artifact, label_of
from storage.artifacts import ArtifactStore
from tasks.chat.dialogue_lines import read_dialogues, read_pairs
from tasks.chat.instructions import DIALOGUES, PAIRS
from tasks.instructions.collections import Example
from tasks.sources.chat_template import ASSISTANT

UNTOLD = "(no task told)"
INSTRUCTIONS, SOURCES, UTILITY, REWARD = "instructions", "sources", "utility", "reward"
SAFETY_REWARD = "safety"
# inputs that are results themselves; all else is a file from outside
RESULTS = (
    INSTRUCTIONS,
    SOURCES,
    UTILITY,
    REWARD,
    SAFETY_REWARD,
    "mixture",
    "online",
    "seed",
    "base",
    "model",
)


@dataclass(frozen=True)
class Taught:
    """tasks: task -> what was taught of it; chose: tasks whose dev items utility saw; demonstrations: whether there
    were any; given: whether a model from outside is among the ancestors, of which nothing is known."""

    tasks: dict[str, list[Example]]
    chose: frozenset[str]
    demonstrations: bool
    given: bool


def taught_of(store: ArtifactStore, model: Artifact) -> Taught:
    """Of a model in the store. Raises ValueError for an ancestor that was cleaned away."""
    ancestors = ancestors_of(store, model)
    tasks: dict[str, list[Example]] = {}
    demonstrations = False
    by_stage = [artifact.stage for artifact in ancestors]
    for artifact in ancestors:
        if artifact.stage != INSTRUCTIONS:
            continue
        for line in read_dialogues(artifact.path / DIALOGUES):
            demonstrations = demonstrations or line.demonstrations > 0
            task = line.task or UNTOLD
            category = line.category or UNTOLD
            told = Example(task, category, "", tuple(line.messages), line.where, line.document)
            tasks.setdefault(task, []).append(told)
        if REWARD in by_stage:
            tasks.setdefault(UNTOLD, []).extend(_answers_of_pairs(artifact))
    chose: set[str] = set()
    if UTILITY in by_stage:
        chose = {task for a in ancestors if a.stage == SOURCES for task in a.facts["tasks"]}
    given = any(a.stage == "seed" and not a.provenance.get("training_seconds") for a in [model, *ancestors])
    return Taught(tasks, frozenset(chose), demonstrations, given)


def joined(each: Sequence[Taught]) -> Taught:
    """What any of several models was taught, so that all are tested at the same levels."""
    tasks: dict[str, list[Example]] = {}
    for one in each:
        for task, examples in one.tasks.items():
            known = {example.text for example in tasks.get(task, [])}
            tasks.setdefault(task, []).extend(e for e in examples if e.text not in known)
    return Taught(
        tasks,
        frozenset().union(*(one.chose for one in each)),
        any(one.demonstrations for one in each),
        any(one.given for one in each),
    )


def ancestors_of(store: ArtifactStore, model: Artifact) -> list[Artifact]:
    """The results that a model is made from, directly or not; of several with one content, all.

    Raises ValueError for one that is not in the store any more.
    """
    manifests = store.manifests()
    by_digest: dict[str, list[dict[str, Any]]] = {}
    for manifest in manifests:
        by_digest.setdefault(manifest["digest"], []).append(manifest)
    found: dict[str, dict[str, Any]] = {}
    open_ends = [manifest for manifest in manifests if manifest["key"] == model.key]
    while open_ends:
        newest = open_ends.pop()
        for name, digest in newest["inputs"].items():
            if digest not in by_digest and (name in RESULTS or name.startswith("round ")):
                raise ValueError(
                    f"{label_of(newest['stage'], newest['name'])}: {name} that it was made from is not in the "
                    "store any more, so that what it was taught is not known; allowed: run the recipe again"
                )
            for manifest in by_digest.get(digest, []):
                if manifest["key"] not in found:
                    found[manifest["key"]] = manifest
                    open_ends.append(manifest)
    return [Artifact.of_manifest(store.folder(m["stage"], m["name"], m["key"]), m) for m in found.values()]


def _answers_of_pairs(artifact: Artifact) -> list[Example]:
    return [
        Example(
            UNTOLD,
            UNTOLD,
            "",
            ({"role": "user", "content": pair.prompt}, {"role": ASSISTANT, "content": pair.chosen}),
            pair.where,
        )
        for pair in read_pairs(artifact.path / PAIRS)
    ]
