"""The command `mixstitch stitch`: models that exist, joined into one, without a recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from flows.commands.console import print_json
from flows.commands.mix_solve import whole
from flows.recipes import apply_override
from storage.refusals import refusals
from tasks.method import lines
from tasks.stitching.compositions import COMPOSITIONS, COMPOSITIONS_BY_NAME

if TYPE_CHECKING:
    from tasks.stitching.joined_models import Text, Way

STITCHED = "stitched"
AnySettings = TypeVar("AnySettings", bound=BaseModel)


def stitch(
    hub: Annotated[
        str,
        typer.Option(
            "--hub",
            help="Folder, GGUF file, package:NAME/FILE or Hugging Face name of the model that is read from.",
        ),
    ],
    expert: Annotated[
        list[str],
        typer.Option("--expert", help="NAME=FOLDER of a model like the hub; may be given several times."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the model to, new or empty.")],
    text: Annotated[
        Path | None,
        typer.Option("--text", help="Folder of text files to train on; for methods that train."),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", parser=whole, help="Tokens to train on; left out: as many as there are."),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help=f"{STITCHED}: trained stitch layers; {lines(COMPOSITIONS)}.")
    ] = STITCHED,
    num_stitches: Annotated[
        int | None, typer.Option("--num-stitches", min=1, help="Stitch layers; left out: 2.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="Folder or name of the tokenizer; left out: the hub's.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "-o", "--override", help="NAME=VALUE of the method, or training.NAME=VALUE; several times."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Join models that you have into one, and train the stitches between them on your text."""
    from tasks.training.given import check_folder

    experts = _experts(expert)
    for name, place in {"hub": hub, **experts}.items():
        check_folder(place, name)
    from flows.ending import unwound_by_signals
    from storage.new_folders import check_free, new_folder
    from tasks.stitching.joined_card import write_joined_card
    from tasks.stitching.joined_models import Members, check_joinable, join

    out = out.expanduser()
    check_free(out, "--out")
    members = Members(hub, experts, tokenizer or hub)
    way = _way(method, num_stitches, override or [])
    read = _text(way, text, tokens)
    check_joinable(members, way)
    with unwound_by_signals(), new_folder(out, "--out") as (folder, beside):
        facts = join(members, way, read, folder, beside, _say(silent=json))
        write_joined_card(folder, members, way, facts)
    if json:
        print_json({"out": str(out), **facts})
        return
    trained = f", trained on {facts['tokens']:,} tokens" if facts["tokens"] else ""
    print(
        f"{facts['method']} of hub, {', '.join(members.experts)}: {facts['parameters']:,} parameters{trained}\n{out}"
    )


def _experts(given: list[str]) -> dict[str, str]:
    experts: dict[str, str] = {}
    for one in given:
        name, separator, place = one.partition("=")
        if not separator or not name or not place:
            raise ValueError(f"--expert {one!r}: must be NAME=FOLDER")
        if name in experts:
            raise ValueError(f"--expert {one!r}: the name {name!r} stands twice")
        experts[name] = place
    return experts


def _way(method: str, num_stitches: int | None, overrides: list[str]) -> Way:
    from tasks.stitching.joined_models import Way
    from tasks.stitching.settings import StitchingSettings, StitchSettings
    from tasks.training.settings import TrainingSettings
    from tasks.training.training_run import Training

    own: dict[str, Any] = {}
    for one in overrides:
        apply_override(own, one)
    loop = own.pop("training", {})
    training = Training(
        _valid("training", TrainingSettings, loop if isinstance(loop, dict) else {"training": loop}), 0
    )
    if method == STITCHED:
        if num_stitches is not None:
            own["num_stitches"] = num_stitches
        return Way(_valid(f"--method {method}", StitchSettings, own), training)
    if method not in COMPOSITIONS_BY_NAME:
        raise ValueError(
            f"--method {method}: no such method; allowed: {STITCHED}, {', '.join(COMPOSITIONS_BY_NAME)}"
        )
    if num_stitches is not None:
        raise ValueError(f"--num-stitches: has no effect with --method {method}")
    settings = _valid(f"--method {method}", COMPOSITIONS_BY_NAME[method].settings, own)
    (settled,) = StitchingSettings(compositions=(settings,)).composed()
    return Way(settled, training)


def _text(way: Way, text: Path | None, tokens: int | None) -> Text | None:
    """What the method trains on. Raises ValueError where it needs text, or has no use for it."""
    from tasks.sources.readers import sources_of_folder
    from tasks.stitching.joined_models import Text

    if way.learning_rate is None:
        given = {"--text": text is not None, "--tokens": tokens is not None}
        if any(given.values()):
            wrong = ", ".join(name for name, is_given in given.items() if is_given)
            raise ValueError(f"{wrong}: has no effect with --method {way.name}, which trains nothing")
        return None
    if text is None:
        raise ValueError(f"--text: not given; the method {way.name} trains on a folder of text")
    if tokens is not None and tokens <= 0:
        raise ValueError(f"--tokens {tokens}: allowed: above 0")
    sources_of_folder(text, "--text")
    return Text(text, tokens)


def _valid(what: str, settings: type[AnySettings], given: dict[str, Any]) -> AnySettings:
    try:
        return settings.model_validate(given)
    except ValidationError as error:
        told = "; ".join(refusals(error))
        raise ValueError(f"{what}: {told}; its settings: {', '.join(settings.model_fields)}") from error


def _say(silent: bool) -> Callable[[str], None]:
    return (lambda line: None) if silent else (lambda line: print(line, flush=True))
