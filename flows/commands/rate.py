"""The commands `mixstitch rate ...`: people compare answers of models on a page, and what becomes of their votes."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.console import aside, print_json, say, show_rows

if TYPE_CHECKING:
    from tasks.preference.rating.compared_answers import Answer
    from tasks.preference.rating.vote_book import VoteBook

rate_app = typer.Typer(
    no_args_is_help=True,
    help="People compare answers of models: a page for them, their votes as ratings and as pairs for a reward model.",
)
PORT = 8765
VOTES, ANSWERS = "votes.sqlite", "answers.jsonl"
Folder = Annotated[
    Path, typer.Option("--out", help="Folder of answers and votes; what is there already goes on.")
]


@rate_app.command()
def page(
    out: Folder,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Folder, GGUF file, package:NAME/FILE, Hub name, or NAME=PLACE; with --prompts.",
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="A run whose models answer too: id or `latest`.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help="Table of prompt, and item, category: what the models are asked."),
    ] = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", help="Table of prompt, model, answer, and item, category.")
    ] = None,
    gold: Annotated[
        Path | None,
        typer.Option(
            "--gold", help="Table of prompt, better, worse: pairs whose answer is known, one in ten."
        ),
    ] = None,
    per_pair: Annotated[int, typer.Option("--per-pair", min=1, help="Annotators of a pair.")] = 3,
    new_tokens: Annotated[
        int, typer.Option("--new-tokens", min=1, help="Tokens of an answer at most.")
    ] = 128,
    scores: Annotated[
        bool, typer.Option("--scores", help="Each answer gets a number from 1 to 7 too.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            "--host", help="Address to listen on; any but this machine's own needs the token it prints."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = PORT,
) -> None:
    """Serve the page, until Ctrl-C; votes are kept as they are given."""
    import uvicorn

    from flows.loopback import HOST, free_port
    from flows.rating_page import rating_app

    book = _book(out, models or [], run, prompts, answers, gold, per_pair, new_tokens)
    token = "" if host in (HOST, "localhost") else secrets.token_urlsafe(24)
    port = free_port(port) if host == HOST else port
    for_whom = f"/?token={token}" if token else "/"
    aside(f"votes in {book.path}; Ctrl-C ends")
    aside(f"http://{host}:{port}{for_whom}")
    uvicorn.run(rating_app(book, scores, token), host=host, port=port, log_level="warning")


@rate_app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `rate page --out` was given.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write votes.csv, as `preference aggregate` reads it, and pairs.jsonl for a reward model; print how they agree."""
    from tasks.preference.rating.handing_on import handed_on
    from tasks.preference.rating.vote_book import VoteBook

    if not (folder / VOTES).is_file():
        raise ValueError(
            f"{folder}: no {VOTES} there; allowed: the folder that `mixstitch rate page --out` was given"
        )
    told = handed_on(VoteBook(folder / VOTES), folder)
    if json:
        print_json(told)
        return
    show_rows("annotators", told["annotators"])
    show_rows("strengths, by what each annotator can be relied on", told["strengths"]["models"])
    for name, words in (("ac1", "Gwet's AC1 of who is better"), ("ac2", "AC2 of the nine grades")):
        say(f"{words}: {_interval(told['agreement'][name])}")
    say(f"on {told['agreement']['units_of_several']} pairs that two or more have judged")
    say(f"{told['pairs']} pairs for a reward model, {told['pairs_undecided']} on which votes cancel")
    for path in told["written"]:
        say(f"written: {path}")


def _interval(told: dict[str, float | None]) -> str:
    if told["value"] is None:
        return "not known"
    interval = "" if told["low"] is None else f" [{told['low']:.2f}, {told['high']:.2f}]"
    return f"{told['value']:.2f}{interval}"


def _book(
    out: Path,
    models: list[str],
    run: str | None,
    prompts: Path | None,
    answers: Path | None,
    gold: Path | None,
    per_pair: int,
    new_tokens: int,
) -> VoteBook:
    """The book in the folder; made from what is given where there is none yet."""
    from tasks.preference.rating.compared_answers import (
        check_models,
        read_answers,
        read_prompts,
        write_answers,
    )
    from tasks.preference.rating.vote_book import VoteBook

    given = bool(models or run or prompts or answers or gold)
    if (out / VOTES).exists():
        if given:
            raise ValueError(
                f"--out {out}: has votes already, of the answers it has; allowed: it alone, or a new folder"
            )
        return VoteBook(out / VOTES, per_pair)
    if answers is not None and (models or run or prompts):
        raise ValueError("--answers: has all answers; allowed without models, --run and --prompts")
    known = [] if gold is None else read_prompts(gold, is_gold=True)
    found: list[Answer] = [] if answers is None else read_answers(answers)
    if answers is None:
        if prompts is None or not (models or run):
            raise ValueError("what is compared: --prompts with models or --run, or --answers")
        from tasks.evaluation.named_models import check_configurations, given_models
        from tasks.preference.rating.answering import answered

        asked, named = read_prompts(prompts), given_models([*models, *_models_of(run)])
        check_models([model.name for model in named], "MODEL")
        check_configurations(named)
        found = answered(named, asked, new_tokens, aside)
    out.mkdir(parents=True, exist_ok=True)
    write_answers(out / ANSWERS, found)
    book = VoteBook.made(out / VOTES, found, known, per_pair)
    if same := book.same_answers():
        aside(f"{same} pairs of answers are the same text: nobody is asked about them")
    return book


def _models_of(run: str | None) -> list[str]:
    """NAME=FOLDER of a run's models."""
    if run is None:
        return []
    from flows.environment import open_home
    from storage.run_records import find_record
    from storage.runs import summarise

    home = open_home()
    return [f"{one['model']}={one['folder']}" for one in summarise(home, find_record(home, run)).models]
