"""The command `mixstitch evaluate`: any models on any benchmarks and texts, without a recipe, a home or a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.console import NOTHING, aside, interval, number, print_json, say_written, show_rows

if TYPE_CHECKING:
    from tasks.evaluation.stopping import Enough

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="Folder, GGUF file, package:NAME/FILE or Hub name of a causal LM, or NAME=PLACE; the first is what others "
        "are compared with.",
    ),
]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmarks",
        help="Folder of benchmark files, folder of lm-eval YAMLs, or names of lm-eval tasks, a,b,c; several times.",
    ),
]
Text = Annotated[
    Path | None,
    typer.Option("--text", help="Folder of text files, or one: bits per byte of each are measured."),
]
Out = Annotated[
    Path, typer.Option("--out", help="Folder to write scores, samples and results to; new or empty.")
]
MaxItems = Annotated[
    int | None, typer.Option("--max-items", min=2, help="Items at most a benchmark, chosen by content.")
]
BatchTokens = Annotated[int, typer.Option("--batch-tokens", min=1, help="Tokens read at a time.")]
Check = Annotated[
    int,
    typer.Option(
        "--check",
        min=0,
        help="Items of the benchmarks that are read whole too, to compare: over 1e-4 nats in float32 is an error.",
    ),
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        "--max-length", min=16, help="Tokens that a model is shown at most; empty: as many as it may."
    ),
]
TextBytes = Annotated[int, typer.Option("--text-bytes", min=1000, help="Bytes of each source of --text.")]
Tokenizer = Annotated[
    Path | None,
    typer.Option("--tokenizer", help="Folder of the tokenizer of those models whose folder holds none."),
]
STOPPING = "Enough is enough (off unless one of the first two is given)"
HalfWidth = Annotated[
    float | None,
    typer.Option(
        "--half-width",
        rich_help_panel=STOPPING,
        help="Ask no more items of a benchmark once the 95% interval of its first score is so narrow; .02: two points.",
    ),
]
UntilDecided = Annotated[
    bool,
    typer.Option(
        "--until-decided",
        rich_help_panel=STOPPING,
        help="Ask no more items once it is told whether a model is better or worse than the first, item by item; all "
        "models are loaded at the same time.",
    ),
]
Every = Annotated[
    int | None, typer.Option("--every", min=1, rich_help_panel=STOPPING, help="Items between looks; 50.")
]
About = Annotated[
    str | None,
    typer.Option(
        "--about",
        rich_help_panel=STOPPING,
        help="What intervals are of: benchmark (the score on all its items; default) or population (items like these).",
    ),
]
OrderSeed = Annotated[
    int | None,
    typer.Option(
        "--order-seed", rich_help_panel=STOPPING, help="Seed of the order in which items are asked; 0."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def evaluate(
    model: Models,
    out: Out,
    benchmarks: Benchmarks = None,
    text: Text = None,
    max_items: MaxItems = None,
    batch_tokens: BatchTokens = 2048,
    max_length: MaxLength = None,
    text_bytes: TextBytes = 100_000,
    tokenizer: Tokenizer = None,
    check: Check = 0,
    half_width: HalfWidth = None,
    until_decided: UntilDecided = False,
    every: Every = None,
    about: About = None,
    order_seed: OrderSeed = None,
    json: Json = False,
) -> None:
    """Score models on benchmarks and text, with intervals, and each against the first, item by item."""
    from tasks.benchmarks.given_benchmarks import given_benchmarks
    from tasks.evaluation.evaluating_models import Scored, check_empty, evaluate_models
    from tasks.evaluation.model_reading import Reading
    from tasks.evaluation.named_models import check_configurations, given_models
    from tasks.report.model_comparison import compared_models
    from tasks.sources.given_text import first_documents, given_sources

    if not benchmarks and text is None:
        raise ValueError("nothing to score on: give --benchmarks, --text, or both")
    if check and not benchmarks:
        raise ValueError(
            "--check: there is nothing to compare without --benchmarks; allowed: both, or neither"
        )
    enough = _enough(half_width, until_decided, {"every": every, "about": about, "order_seed": order_seed})
    named = given_models(model, tokenizer)
    if until_decided and len(named) < 2:
        raise ValueError(
            "--until-decided: there is one model; allowed: two or more, the first of which others are told from"
        )
    if enough is not None and not benchmarks:
        raise ValueError(
            "--half-width, --until-decided: there are no items without --benchmarks; text is read whole"
        )
    check_empty(out)
    given = given_benchmarks(benchmarks or [], "--benchmarks", max_items)
    texts = {} if text is None else first_documents(given_sources(text, "--text"), text_bytes)
    check_configurations(named)
    given.check()
    for line in given.left_out:
        aside(line)
    on = Scored(given, texts, max_items, Reading(batch_tokens, check=check), max_length, enough)
    scores = evaluate_models(named, on, out, aside)
    found = compared_models(out, scores, given.kinds)
    written = found.save(out)
    if json:
        print_json({**found.to_json(), "left_out": list(given.left_out), "written": written})
        return
    _print(found.to_json())
    say_written(written)


def _enough(half_width: float | None, until_decided: bool, more: dict[str, Any]) -> Enough | None:
    from tasks.evaluation.stopping import Enough

    given = {name: value for name, value in more.items() if value is not None}
    if half_width is None and not until_decided:
        if given:
            option = next(iter(given)).replace("_", "-")
            raise ValueError(
                f"--{option}: is for --half-width and --until-decided; allowed: with one of them"
            )
        return None
    if half_width is not None and until_decided:
        raise ValueError("--half-width, --until-decided: two ends of one evaluation; allowed: one of them")
    if half_width is not None and not 0 < half_width < 0.5:
        raise ValueError(f"--half-width {half_width:g}: allowed: above 0 and below .5; .02 is two points")
    if given.get("about", "benchmark") not in ("benchmark", "population"):
        raise ValueError(f"--about {given['about']}: allowed: benchmark, population")
    return Enough(half_width, **given)


def _print(found: dict[str, Any]) -> None:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    counts: dict[tuple[str, str], list[int]] = {}
    for one in found["scores"]:
        counts.setdefault((one["task"], one["metric"]), []).append(one["n"])
    items = {key: " to ".join(map(str, sorted({min(of), max(of)}))) for key, of in counts.items()}
    for one in found["scores"]:
        row = rows.setdefault(
            (one["task"], one["metric"]),
            {
                "task": one["task"],
                "metric": one["metric"],
                "items": items[one["task"], one["metric"]],
                "guess": number(one["guess"], 3),
            },
        )
        row[one["model"]] = f"{number(one['value'], 3)} [{interval((one['low'], one['high']), 3)}]"
    models = dict.fromkeys(one["model"] for one in found["scores"])
    shown = [{**row, **{name: row.get(name, NOTHING) for name in models}} for row in rows.values()]
    show_rows("scores [95% interval]; bits per byte: lower is better", shown, models)
    gains = [
        {
            "task": one["task"],
            "metric": one["metric"],
            "model": one["model"],
            "difference": f"{one['difference']:+.3f} [{interval((one['low'], one['high']), 3)}]",
            "items": one["n"],
            "paired": one["paired"],
        }
        for one in found["differences"]
    ]
    if gains:
        first = found["differences"][0]["against"]
        show_rows(f"differences from {first} [95% interval], paired over items", gains)
    stops = [
        {
            "task": one["task"],
            "model": one["model"] if one["against"] is None else f"{one['model']} against {one['against']}",
            "items": f"{one['asked']:,} of {one['of']:,}",
            "metric": NOTHING if one["metric"] is None else one["metric"],
            "95% at every look": NOTHING if one["low"] is None else interval((one["low"], one["high"]), 3),
            "stopped because": one["because"],
        }
        for one in found.get("enough", ())
    ]
    if stops:
        of = {
            "benchmark": "the score on all items of the benchmark",
            "population": "the mean over items like these",
        }
        show_rows(f"where asking ended; intervals are of {of[found['enough'][0]['about']]}", stops)
