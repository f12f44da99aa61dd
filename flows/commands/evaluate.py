"""The command `mixstitch evaluate`: any models on any benchmarks and texts, without a recipe, a home or a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.console import NOTHING, aside, interval, number, print_json, say_written, show_rows

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
    named = given_models(model, tokenizer)
    check_empty(out)
    given = given_benchmarks(benchmarks or [], "--benchmarks", max_items)
    texts = {} if text is None else first_documents(given_sources(text, "--text"), text_bytes)
    check_configurations(named)
    given.check()
    for line in given.left_out:
        aside(line)
    on = Scored(given, texts, max_items, Reading(batch_tokens, check=check), max_length)
    scores = evaluate_models(named, on, out, aside)
    found = compared_models(out, scores, given.kinds)
    written = found.save(out)
    if json:
        print_json({**found.to_json(), "left_out": list(given.left_out), "written": written})
        return
    _print(found.to_json())
    say_written(written)


def _print(found: dict[str, Any]) -> None:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in found["scores"]:
        row = rows.setdefault(
            (one["task"], one["metric"]),
            {
                "task": one["task"],
                "metric": one["metric"],
                "items": one["n"],
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
