"""The command `mixstitch instruct levels`: chat models of runs on tested tasks, at each level of being held out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.console import print_json, say, show_rows

if TYPE_CHECKING:
    from storage.artifact import Artifact
    from storage.artifacts import ArtifactStore

LATEST = "latest"
INSTRUCTIONS = "instructions"
SPEAKING = ("seed", "sft", "rejection", "ghost")  # stages that make a model which answers


def levels(
    test: Annotated[
        Path, typer.Option("--test", help="Folder of what is tested: a file a task, its folder the category.")
    ],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            help="A model of a chat run, [NAME=][RUN:]RESULT, such as latest:sft/seed0; may be given several times.",
        ),
    ],
    shots: Annotated[int, typer.Option("--shots", min=0, max=32, help="Examples shown, beside none.")] = 3,
    new_tokens: Annotated[int, typer.Option("--new-tokens", min=1, help="Most tokens of an answer.")] = 32,
    seed: Annotated[int, typer.Option("--seed", help="Seed of which examples are shown.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score models at held-out categories, tasks and instances, derived from what was taught; with 0 and K shots."""
    from flows.environment import open_home
    from storage.artifacts import ArtifactStore
    from tasks.chat.heldout_answers import speaker_of
    from tasks.chat.level_table import level_table, scored_items
    from tasks.chat.taught_lineage import joined, taught_of
    from tasks.instructions.collections import read_collection
    from tasks.instructions.split_certificate import certificate

    store = ArtifactStore(open_home())
    named = [_named(store, word) for word in model]
    if repeated := sorted({one[0] for one in named if [other[0] for other in named].count(one[0]) > 1}):
        raise ValueError(
            f"--model: {repeated[0]!r} stands twice; allowed: a name of its own, NAME=RUN:RESULT"
        )
    tested = read_collection(test, "--test")
    taught = {name: taught_of(store, artifact) for name, artifact, _ in named}
    every = joined(list(taught.values()))
    proved = certificate(every.tasks, tested, every.chose)
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for name, artifact, instructions in named:
        speaker = speaker_of(artifact.path / "model", instructions.path, new_tokens)
        for count in dict.fromkeys((0, shots)):
            rows[name, count] = scored_items(speaker, tested, count, seed)
    table = level_table(
        rows, {one.task: one.level for one in proved}, {n: t.demonstrations for n, t in taught.items()}
    )
    if json:
        print_json(
            {"levels": table, "tasks": [one.row() for one in proved], "given_before": sorted(_given(taught))}
        )
        return
    show_rows("mean over tasks, 95% intervals over items", table)
    for name in sorted(_given(taught)):
        say(f"{name}: comes from a given model; what that had read before is not known")


def _given(taught: dict[str, Any]) -> set[str]:
    return {name for name, one in taught.items() if one.given}


def _named(store: ArtifactStore, word: str) -> tuple[str, Artifact, Artifact]:
    """Name, result with the model, and the instructions of its run, whose tokenizer it speaks by."""
    from storage.run_records import find_record

    before, separator, rest = word.partition("=")
    run, _, label = (rest if separator else word).rpartition(":")
    entries = {entry["name"]: entry for entry in find_record(store.home, run or LATEST)["stages"]}
    if INSTRUCTIONS not in entries:
        raise ValueError(f"--model {word}: that run made no chat model; allowed: a run of a recipe with chat")
    spoken = [name for name, entry in entries.items() if entry["stage"] in SPEAKING]
    if label not in spoken:
        raise ValueError(f"--model {word}: no such result; allowed: {', '.join(spoken)}")
    artifact, instructions = (
        store.load(entries[name]["stage"], entries[name]["folder"]) for name in (label, INSTRUCTIONS)
    )
    return (before if separator else label), artifact, instructions
