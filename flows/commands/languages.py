"""The commands `mixstitch languages ...`: models on benchmarks in many languages, and translation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from flows.commands.console import aside, interval, number, print_json, say, say_written, show_rows
from storage.refusals import refusals

if TYPE_CHECKING:
    from tasks.languages.settings import LanguagesSettings

languages_app = typer.Typer(
    no_args_is_help=True,
    help="Many languages: prompts in one, demonstrations in another, items in a third.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Folder, GGUF file, package:NAME/FILE or Hub name of a causal LM, or NAME=PLACE.",
    ),
]
Tokenizer = Annotated[
    Path | None,
    typer.Option("--tokenizer", help="Folder of the tokenizer, where the model's folder holds none."),
]
BatchTokens = Annotated[int, typer.Option("--batch-tokens", min=1, help="Tokens read at a time.")]
MaxLength = Annotated[
    int | None, typer.Option("--max-length", min=16, help="Tokens that the model is shown at most.")
]


def _codes(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


@languages_app.command()
def cube(
    model: Model,
    files: Annotated[
        str,
        typer.Option(
            "--files", help="File, folder or pattern of a benchmark's rows, with `lang` or named for it."
        ),
    ],
    form: Annotated[str, typer.Option("--form", help="xcopa, xstorycloze, xnli or pawsx.")] = "xcopa",
    demonstrations: Annotated[
        list[str] | None,
        typer.Option(
            "--demonstrations",
            help="File of items to demonstrate with, or CODE=FILE where its rows do not say their language; several "
            "times.",
        ),
    ] = None,
    templates: Annotated[
        Path | None,
        typer.Option("--templates", help="File of templates by language, YAML; empty: the form's."),
    ] = None,
    template_languages: Annotated[
        str, typer.Option("--template-languages", help="Codes a,b,c; own: each text's own.")
    ] = "en,own",
    demonstration_languages: Annotated[
        str, typer.Option("--demonstration-languages", help="Codes a,b,c; own: the tested one's.")
    ] = "en,own",
    test_languages: Annotated[
        str | None, typer.Option("--test-languages", help="Codes a,b,c; empty: all of the benchmark.")
    ] = None,
    high_resource: Annotated[
        str, typer.Option("--high-resource", help="Language whose demonstrations are compared with own ones.")
    ] = "en",
    shots: Annotated[str, typer.Option("--shots", help="Numbers of demonstrations, a,b,c.")] = "0,4",
    sets: Annotated[int, typer.Option("--sets", min=1, help="Sets of demonstrations.")] = 5,
    max_items: Annotated[
        int | None, typer.Option("--max-items", min=2, help="Tested items a language, the same in all.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("-o", "--override", help="A further setting of `languages`, NAME=VALUE; several times."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write results, answers and page to; new or empty.")
    ] = None,
    tokenizer: Tokenizer = None,
    batch_tokens: BatchTokens = 2048,
    max_length: MaxLength = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say how large the cube is, and ask nothing.")] = False,
    json: Json = False,
) -> None:
    """Ask a model every item in every cell: template language x demonstration language x test language x shots."""
    from tasks.evaluation.evaluating_models import check_empty
    from tasks.evaluation.model_reading import Reading
    from tasks.evaluation.named_models import check_configurations, given_models
    from tasks.languages.cube import make_cube

    settings = _settings(
        {
            "form": form,
            "files": files,
            "demonstration_files": [_file(word) for word in demonstrations or []],
            "templates": templates,
            "template_languages": _codes(template_languages),
            "demonstration_languages": _codes(demonstration_languages),
            "test_languages": _codes(test_languages) or [],
            "high_resource": high_resource,
            "shots": _codes(shots),
            "sets": sets,
            "max_items": max_items,
        },
        override or [],
    )
    (given,) = given_models([model], tokenizer)
    if out is not None:
        check_empty(out)
    check_configurations([given])
    made = make_cube(settings)
    size = made.size()
    if plan:
        print_json(size) if json else say(_size_line(size))
        return
    aside(_size_line(size))
    from tasks.languages.asking import ask_given, write_results

    found = ask_given(given, made, Reading(batch_tokens, check=settings.check_items, say=aside), max_length)
    written = [] if out is None else write_results(out, given.name, made, found)
    if json:
        print_json({**found.told, "written": written})
        return
    _print(found.told)
    say_written(written)


def _size_line(size: dict[str, Any]) -> str:
    return (
        f"{size['cells']:,} cells, {size['blocks']:,} blocks of demonstrations, {size['items']:,} items, "
        f"{size['texts']:,} texts; {size['bytes']:,} bytes, {size['bytes_read_once']:,} where blocks are read once"
    )


def _file(word: str) -> dict[str, str | None]:
    code, separator, path = word.partition("=")
    if separator and not Path(word).exists():
        return {"path": path, "language": code}
    return {"path": word, "language": None}


def _settings(given: dict[str, Any], override: list[str]) -> LanguagesSettings:
    from flows.recipes import apply_override
    from tasks.languages.settings import LanguagesSettings

    for one in override:
        apply_override(given, one)
    try:
        return LanguagesSettings.model_validate(given)
    except ValidationError as error:
        told = "; ".join(refusals(error))
        raise ValueError(f"languages: {told}") from error


def _print(told: dict[str, Any]) -> None:
    from tasks.languages.cube_results import no_gains

    rows: dict[tuple, dict[str, Any]] = {}
    for cell in told["cells"]:
        shown = "own" if cell["demonstrations"] == cell["test"] else cell["demonstrations"]
        way = (cell["template"], shown, cell["shots"])
        row = rows.setdefault(
            way, {"template": way[0], "demonstrations": way[1], "shots": way[2], "sets": cell["sets"]}
        )
        spread = "" if cell["spread"] is None else f" ±{cell['spread']:.2f}"
        row[cell["test"]] = f"{number(cell['mean'], 2)}{spread}"
    tests = list(dict.fromkeys(cell["test"] for cell in told["cells"]))
    shown = [{**row, **{test: row.get(test) for test in tests}} for row in rows.values()]
    show_rows(
        f"accuracy by test language, ± deviation over sets; guessing {told['chance']:.2f}", shown, tests
    )
    gains = [
        {
            "template": gain["template"],
            "test": gain["test"] or f"mean of {gain['languages']}",
            "shots": gain["shots"],
            "difference": f"{gain['mean']:+.3f} [{interval((gain['low'], gain['high']), 3)}]",
            "items": gain["items"],
            "sets": gain["sets"],
        }
        for gain in told["gains"]
    ]
    if told_why := no_gains(gains, told["cells"], told["high_resource"]):
        say(told_why)
    if gains:
        title = f"demonstrations in {told['high_resource']} against the tested language's own, paired [95% interval]"
        show_rows(title, gains)
    best = [
        {
            "test": row["test"],
            "template": row["template"],
            "demonstrations": row["demonstrations"],
            "shots": row["shots"],
            "accuracy": f"{number(row['mean'], 2)} [{interval((row['low'], row['high']), 2)}]",
            "of": row["of"],
        }
        for row in told["best"]
    ]
    if best:
        show_rows("best cell, chosen on half of the items and scored on the other half", best)
    say(told["speed"]["line"])


@languages_app.command()
def translate(
    model: Model,
    files: Annotated[
        str,
        typer.Option(
            "--files", help="File, folder or pattern of rows with id, lang and text; parallel by id."
        ),
    ],
    languages: Annotated[
        str | None, typer.Option("--languages", help="Codes a,b,c, every direction between them; empty: all.")
    ] = None,
    shots: Annotated[int, typer.Option("--shots", min=0, help="Examples before a text.")] = 4,
    sets: Annotated[int, typer.Option("--sets", min=1, help="Sets of examples.")] = 1,
    max_items: Annotated[
        int | None, typer.Option("--max-items", min=2, help="Texts to translate in each direction.")
    ] = None,
    new_tokens: Annotated[
        int, typer.Option("--new-tokens", min=1, help="Tokens of a translation, at most.")
    ] = 64,
    pieces: Annotated[
        Path | None, typer.Option("--pieces", help="For spBLEU: a SentencePiece model; none is fetched.")
    ] = None,
    tokenizer: Tokenizer = None,
    json: Json = False,
) -> None:
    """Translate every direction after a few examples; chrF, beside that of the untranslated text."""
    from tasks.evaluation.named_models import check_configurations, given_models
    from tasks.languages.asking import answering_of
    from tasks.languages.translation import read_directions, read_pieces, translate

    (given,) = given_models([model], tokenizer)
    cut = None if pieces is None else read_pieces(pieces)
    directions = read_directions(files, _codes(languages) or [], shots, sets, max_items)
    check_configurations([given])
    aside(
        f"{len(directions.pairs())} directions, {len(directions.tested)} texts each, {shots} shots, "
        f"{directions.sets} sets"
    )
    rows = translate(directions, answering_of(given, new_tokens), cut, aside)
    if json:
        print_json({"model": given.name, "shots": shots, "directions": rows})
        return
    names = list(directions.texts)
    chrf = {
        (r["source"], r["target"]): f"{r['chrf']:.1f} ±{r['stderr']:.1f} ({r['copied']:.1f})" for r in rows
    }
    show_rows("chrF to, ± standard error over texts (untranslated text)", _directions(chrf, names), names)
    if cut is not None:
        spbleu = {(r["source"], r["target"]): f"{r['spbleu']:.1f}" for r in rows}
        show_rows(f"spBLEU to, over the pieces of {pieces}", _directions(spbleu, names), names)


def _directions(cells: Mapping[tuple[str, str], str], names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each language that is translated from."""
    return [{"from": source, **{target: cells.get((source, target)) for target in names}} for source in names]
