"""The commands `mixstitch instruct ...`: collections of instructions mixed to exact counts, and their splits proved."""

from __future__ import annotations

import json as json_module
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from flows.commands.console import print_json, say, show_rows
from flows.commands.instruct_levels import levels
from flows.commands.mix_solve import read_utility
from flows.recipes import apply_override

if TYPE_CHECKING:
    from tasks.instructions.fixed_shares import Fixed
    from tasks.mixture.settings import MixtureSettings

instruct_app = typer.Typer(
    no_args_is_help=True,
    help="Collections of instructions: a mix with exact counts, and how far what is tested is from what is taught.",
)
instruct_app.command()(levels)
Train = Annotated[
    Path,
    typer.Option(
        "--train",
        help="Folder of JSON lines: a file a task, its folder the category; messages, or prompt, response.",
    ),
]
TEXT_SHARE = 0.05
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@instruct_app.command()
def mix(
    train: Train,
    size: Annotated[int, typer.Option("--size", min=1, help="Examples of the mix.")],
    out: Annotated[
        Path, typer.Option("--out", help="JSON lines to write: messages, task, category, template.")
    ],
    method: Annotated[
        str, typer.Option("--method", help="A mixture method, with examples in place of tokens.")
    ] = "capped",
    override: Annotated[
        list[str] | None,
        typer.Option(
            "-o", "--override", help="A setting of the method, NAME=VALUE; may be given several times."
        ),
    ] = None,
    utility: Annotated[
        Path | None, typer.Option("--utility", help="Utility of each task, for a method that solves on it.")
    ] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option(
            "--fixed",
            help="NAME=SHARE: a task or category whose share of the mix is set; the method shares out the rest. May be "
            "given several times.",
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(
            "--text", help="Folder of text files, or one, as models are pretrained on: a part of the mix."
        ),
    ] = None,
    text_share: Annotated[
        float | None,
        typer.Option(
            "--text-share", help="Share of the mix that is text; .05, as in OPT-IML, where there is --text."
        ),
    ] = None,
    text_words: Annotated[
        int,
        typer.Option("--text-words", min=1, help="Words of a piece of text, which is an example of the mix."),
    ] = 100,
    start: Annotated[
        int, typer.Option("--start", min=0, help="Place to go on from: those before are left out.")
    ] = 0,
    shots: Annotated[
        int,
        typer.Option(
            "--shots", min=0, max=32, help="Demonstrations of the same task before an example, at most."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the order.")] = 0,
    json: Json = False,
) -> None:
    """Write a mix of a collection: exact counts at any length, in an order that can be gone on with from any place."""
    from tasks.instructions.collections import read_collection
    from tasks.instructions.exact_order import ExactOrder
    from tasks.instructions.fixed_shares import shares_with
    from tasks.instructions.mixing import written

    if start >= size:
        raise ValueError(f"--start {start}: allowed: less than --size {size}")
    settings = _settings(method, override or [])
    collection = read_collection(train, "--train")
    given = _fixed(fixed or [], text, text_share, text_words, size)
    solved_on = None if utility is None else read_utility(utility)
    weights = shares_with(collection, size, settings, given, solved_on)
    collection |= {task: list(pieces) for task, pieces in given.text.items()}
    order = ExactOrder(weights, {task: len(examples) for task, examples in collection.items()}, seed)
    counts = order.counts(size)
    with _new_file(out) as stream:
        for row in written(collection, order, start, size, shots, seed):
            stream.write(json_module.dumps(row, ensure_ascii=False) + "\n")
    told = [
        {
            "task": task,
            "category": collection[task][0].category,
            "examples": len(collection[task]),
            "share": weights[task],
            "drawn": counts.get(task, 0),
            "epochs": counts.get(task, 0) / len(collection[task]),
        }
        for task in collection
    ]
    if json:
        print_json({"tasks": told, "written": str(out), "rows": size - start})
        return
    show_rows(f"mix of {size:,} examples", told)
    say(f"written: {out} ({size - start:,} rows)")


@instruct_app.command()
def certify(
    train: Train,
    test: Annotated[
        Path, typer.Option("--test", help="Folder of what is tested, as --train is of what is taught.")
    ],
    run: Annotated[
        str | None,
        typer.Option("--run", help="A run that the model comes from: what its utility saw counts as seen."),
    ] = None,
    json: Json = False,
) -> None:
    """Say how far each tested task is held out, and what of it was taught; exit status 1 where something leaked."""
    from tasks.instructions.collections import read_collection
    from tasks.instructions.split_certificate import LEAKED, certificate

    taught, tested = read_collection(train, "--train"), read_collection(test, "--test")
    rows = [one.row() for one in certificate(taught, tested, _chose(run))]
    leaked = [row["task"] for row in rows if row["level"] == LEAKED]
    if json:
        print_json({"tasks": rows, "leaked": leaked})
    else:
        show_rows(f"{len(tested)} tested tasks beside {len(taught)} taught", rows)
        say(
            f"leaked: {', '.join(leaked)}"
            if leaked
            else "nothing of what is tested was taught, beyond 1 item in 100"
        )
    if leaked:
        raise typer.Exit(1)


def _settings(method: str, override: list[str]) -> MixtureSettings:
    """Of a method that solves from sizes, and from utility where it is given."""
    from tasks.mixture.methods import METHODS, mixture_settings

    allowed = [m.name for m in METHODS if m.evidence in ("none", "utility")]
    if method not in allowed:
        raise ValueError(f"--method {method}: allowed: {', '.join(allowed)}")
    given: dict[str, Any] = {"method": method}
    for one in override:
        apply_override(given, one)
    try:
        return mixture_settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"-o {'.'.join(map(str, first['loc'][1:]))}: {first['msg']}") from error


def _fixed(given: list[str], text: Path | None, share: float | None, words: int, size: int) -> Fixed:
    """The shares that are set. Raises ValueError for what is none, one set twice, and a share of no text."""
    from tasks.instructions.fixed_shares import Fixed, text_pieces
    from tasks.sources.given_text import given_sources

    shares: dict[str, float] = {}
    for one in given:
        name, _, told = one.rpartition("=")
        if not name or name in shares:
            raise ValueError(f"--fixed {one}: allowed: NAME=SHARE, each name once")
        shares[name] = _share(f"--fixed {one}", told)
    if text is None:
        if share is not None:
            raise ValueError("--text-share: has no effect without --text")
        return Fixed(shares)
    share = _share("--text-share", TEXT_SHARE if share is None else share)
    pieces = text_pieces(given_sources(text, "--text"), words, math.ceil(size * share) + 1)
    return Fixed(shares, pieces, share)


def _share(option: str, told: str | float) -> float:
    try:
        value = float(told)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"{option}: allowed: a share from 0 to 1")
    return value


def _chose(run: str | None) -> list[str]:
    """Tasks whose dev items chose a run's mixture."""
    if run is None:
        return []
    from flows.environment import open_home
    from storage.artifacts import ArtifactStore
    from storage.run_records import find_record

    home = open_home()
    keys = {stage["key"] for stage in find_record(home, run)["stages"] if stage["name"] == "sources"}
    manifests = [m for m in ArtifactStore(home).manifests() if m["key"] in keys]
    return sorted({task for manifest in manifests for task in manifest["facts"]["tasks"]})


def _new_file(out: Path) -> Any:
    if out.exists():
        raise ValueError(f"--out {out}: is there already; allowed: a new file")
    try:
        return out.open("w", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"--out {out}: cannot be written: {error.strerror or error}") from error
