"""The command `mixstitch evaluate`: any models on any benchmarks and texts, without a recipe, a home or a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.console import aside, print_json, say_written
from flows.commands.evaluate_printing import print_compared

if TYPE_CHECKING:
    from tasks.benchmarks.code_tasks import CodeRunning
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
CODE = "Programs that models write (not run unless --run-code is given)"
RunCode = Annotated[
    bool,
    typer.Option(
        "--run-code",
        rich_help_panel=CODE,
        help="Run what models write for benchmarks of code, in a sandbox of this machine's kernel, and score pass@k.",
    ),
]
Programs = Annotated[
    int | None,
    typer.Option(
        "--programs",
        min=1,
        max=1000,
        rich_help_panel=CODE,
        help="Written for each item: 1, the likeliest (default), or more, drawn.",
    ),
]
PassAt = Annotated[
    list[int] | None,
    typer.Option("--pass-at", min=1, rich_help_panel=CODE, help="k of pass@k, several times; default 1."),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0.01,
        max=10,
        rich_help_panel=CODE,
        help="Of what is drawn; default .8.",
    ),
]
CodeTokens = Annotated[
    int | None,
    typer.Option(
        "--code-tokens", min=1, rich_help_panel=CODE, help="Tokens of a program at most; default 256."
    ),
]
CodeSeconds = Annotated[
    int | None,
    typer.Option(
        "--code-seconds",
        min=1,
        max=600,
        rich_help_panel=CODE,
        help="Seconds a program may run; default 10.",
    ),
]
CodeMemory = Annotated[
    int | None,
    typer.Option(
        "--code-memory",
        min=64,
        max=65536,
        rich_help_panel=CODE,
        help="MB of memory it may take; default 512.",
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
    run_code: RunCode = False,
    programs: Programs = None,
    pass_at: PassAt = None,
    temperature: Temperature = None,
    code_tokens: CodeTokens = None,
    code_seconds: CodeSeconds = None,
    code_memory: CodeMemory = None,
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
    asked = {
        "programs": programs,
        "pass_at": None if pass_at is None else tuple(pass_at),
        "temperature": temperature,
        "code_tokens": code_tokens,
        "code_seconds": code_seconds,
        "code_memory": code_memory,
    }
    running = _running(run_code, asked)
    check_empty(out)
    given = given_benchmarks(benchmarks or [], "--benchmarks", max_items)
    texts = {} if text is None else first_documents(given_sources(text, "--text"), text_bytes)
    check_configurations(named)
    given.check(running)
    for line in given.left_out:
        aside(line)
    on = Scored(given, texts, max_items, Reading(batch_tokens, check=check), max_length, enough, running)
    scores = evaluate_models(named, on, out, aside)
    found = compared_models(out, scores, given.kinds)
    written = found.save(out)
    if json:
        print_json({**found.to_json(), "left_out": list(given.left_out), "written": written})
        return
    print_compared(found.to_json())
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


def _running(run_code: bool, given: dict[str, Any]) -> CodeRunning | None:
    """Raises ValueError for options that are none, and where no sandbox can be built."""
    given = {name: value for name, value in given.items() if value is not None}
    if not run_code:
        if given:
            raise ValueError(f"--{next(iter(given)).replace('_', '-')}: is for --run-code; allowed: with it")
        return None
    from tasks.benchmarks.code_tasks import CodeRunning
    from tasks.sandbox.sandbox import Limits, check_sandbox

    options = {
        "code_tokens": "most_tokens",
        "code_seconds": "seconds",
        "code_memory": "memory_mb",
    }
    named = {options.get(name, name): value for name, value in given.items()}
    limits = Limits(**{name: named.pop(name) for name in ("seconds", "memory_mb") if name in named})
    running = CodeRunning(**named, limits=limits)
    check_sandbox(limits)
    return running
