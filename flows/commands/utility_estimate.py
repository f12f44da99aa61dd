"""The command `mixstitch utility estimate`: utilities from folders of text and benchmarks, without a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.console import aside, cell, print_json, say_written, show_rows
from flows.recipes import load_recipe
from tasks.method import lines
from tasks.utility.estimating import ALONE


def estimate(
    sources: Annotated[
        Path, typer.Option("--sources", help="Folder of text files, each a source named for it; or one file.")
    ],
    benchmarks: Annotated[
        list[str],
        typer.Option(
            "--benchmarks",
            help="Folder of benchmark files, folder of lm-eval YAMLs, or names of lm-eval tasks, a,b,c; several "
            "times.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="CSV to write the utility to, as --utility takes it.")],
    method: Annotated[str, typer.Option("--method", help=f"{lines(ALONE)}.")] = "ngram",
    override: Annotated[
        list[str] | None,
        typer.Option(
            "-o", "--override", help="A setting of the utility stage: medu.model=NAME; several times."
        ),
    ] = None,
    documents: Annotated[int, typer.Option("--documents", min=1, help="Documents sampled a source.")] = 256,
    dev_share: Annotated[
        float,
        typer.Option("--dev-share", min=0.01, max=0.99, help="Share of the items that utility may see."),
    ] = 0.3,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Estimate how useful each source is for each benchmark, with standard errors."""
    from storage.home import Home
    from tasks.benchmarks.given_benchmarks import given_benchmarks
    from tasks.sources.given_text import given_sources
    from tasks.utility.estimating import Sampling, check_method, estimated_utility
    from tasks.utility.methods import METHODS_BY_NAME
    from tasks.utility.utility_files import write_utility

    check_method(method)
    settings = load_recipe(
        "pocket", [f"utility.{one}" for one in (f"method={method}", *(override or []))]
    ).utility
    METHODS_BY_NAME[method].check(settings.section(method))
    if not out.parent.is_dir():
        raise ValueError(
            f"--out {out}: there is no folder {out.parent}; allowed: a CSV in a folder that is there"
        )
    given = given_benchmarks(benchmarks, "--benchmarks")
    read = given_sources(sources, "--sources")
    matrix = estimated_utility(
        read,
        given,
        settings,
        Sampling(documents=documents, dev_share=dev_share),
        lambda who: Home.from_environment().root / "answers" / who,
        aside,
    )
    for line in given.left_out:
        aside(line)
    for name, count in matrix.about["passed_over"].items():
        if count:
            aside(f"{name}: {count} documents hold benchmark items and were not sampled")
    write_utility(matrix, out)
    if json:
        print_json({"utility": matrix.rows(), "about": matrix.about, "written": str(out)})
        return
    rows: dict[str, dict[str, str]] = {}
    for one in matrix.rows():
        shown = f"{cell(one['value'])} ± {cell(one['stderr'])}"
        rows.setdefault(one["source"], {"source": one["source"]})[one["task"]] = shown
    title = f"utility by {method}, ± standard error"
    show_rows(title, list(rows.values()), list(matrix.values.columns))
    say_written([str(out)])
