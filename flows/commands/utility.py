"""The commands `mixstitch utility ...`: estimates, where to label next, calibration, how far judges agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.console import print_json
from flows.commands.utility_estimate import estimate

utility_app = typer.Typer(
    no_args_is_help=True,
    help="Utilities: estimates, where the next labels are worth most, calibration on anchors, agreement of judges.",
)
utility_app.command()(estimate)

UtilityFile = Annotated[
    Path,
    typer.Option(
        "--utility", help="Table (source, task, value, stderr, n), or the folder of a run's utility."
    ),
]
TokensFile = Annotated[Path, typer.Option("--tokens", help="Table: source, tokens that it holds.")]
Budget = Annotated[int, typer.Option("--budget", help="Tokens of the mixture.")]
Cap = Annotated[float, typer.Option("--cap", help="Epochs of a source, at most.")]
Risk = Annotated[
    float | None, typer.Option("--risk", help="Risk weight of UtiliMax; left out: the number of sources.")
]
More = Annotated[int, typer.Option("--labels", help="Documents to label next in one place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AnchorsFile = Annotated[
    Path, typer.Option("--anchors", help="Table of trusted utilities: source, task, value, stderr.")
]
Groups = Annotated[
    list[str] | None,
    typer.Option(
        "--group", help="NAME=SOURCE,SOURCE: sources with a bias of their own; may be given several times."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="CSV to write the calibrated utility to.")]
Documents = Annotated[
    Path, typer.Option("--documents", help="JSON lines with `text` and `label` (1: good, 0).")
]
Items = Annotated[
    Path, typer.Option("--items", help="Folder of benchmark files, whose items say what is good.")
]
TaskNames = Annotated[
    list[str] | None, typer.Option("--task", help="A benchmark of the folder; several times; left out: all.")
]
JudgeNames = Annotated[
    list[str] | None, typer.Option("--judge", help="ngram, openai, transformers; several times.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", help="A setting of the utility stage: medu.model=NAME."),
]


@utility_app.command("next")
def label_next(
    utility: UtilityFile,
    tokens: TokensFile,
    budget: Budget,
    labels: More = 64,
    cap: Cap = 4.0,
    risk: Risk = None,
    json: AsJson = False,
) -> None:
    """Rank where further labels make UtiliMax's mixture most certain."""
    from tasks.mixture.laws.named_tables import read_tokens
    from tasks.mixture.portfolio import utilimax
    from tasks.utility.medu.allocation import label_gains
    from tasks.utility.utility_files import labels_of, load_utility

    matrix, held = load_utility(utility), read_tokens(tokens)
    gains = label_gains(
        matrix,
        labels_of(matrix, utility),
        lambda values: utilimax(values, held, budget, cap, risk).weights,
        labels,
    )
    if json:
        print_json(
            {
                "weights_deviation": gains.deviation,
                "labels": gains.more,
                "sources": gains.sources.to_dict("records"),
                "cells": gains.cells.to_dict("records"),
            }
        )
        return
    print(f"standard deviation of the mixture's weights together: {gains.deviation:.4f}")
    print(f"\n{labels} more documents of a source, for every task: expected fall of the weights' variance")
    print(gains.sources.to_string(index=False, formatters=_SHOWN))
    print(f"\n{labels} more labels in one cell")
    print(gains.cells.head(20).to_string(index=False, formatters=_SHOWN))


@utility_app.command()
def calibrate(
    utility: UtilityFile, anchors: AnchorsFile, group: Groups = None, out: Out = None, json: AsJson = False
) -> None:
    """Measure the bias of an estimate against anchors, and calibrate it on them, errors included."""
    from tasks.utility.anchors import calibrated, read_anchors
    from tasks.utility.utility_files import load_utility, write_utility

    matrix = calibrated(load_utility(utility), read_anchors(anchors), _groups(group or []))
    about: dict[str, Any] = matrix.about["calibration"]
    if out is not None:
        write_utility(matrix, out)
    if json:
        print_json({"calibration": about, "utility": matrix.rows()})
        return
    for when in ("before", "after"):
        for name, bias in about[f"bias_{when}"].items():
            print(
                f"bias {when:6} {name}: {bias['bias']:+.4f} ± {bias['stderr']:.4f} ({bias['anchors']} anchors)"
            )
    slope = (
        f"{about['slope']:.3f} ± {about['slope_stderr']:.3f}" if about["slope_is_estimated"] else "1 (fixed)"
    )
    offsets = ", ".join(f"{name} {offset:+.3f}" for name, offset in about["offsets"].items())
    print(f"slope {slope}; offsets {offsets}; scatter beyond the errors {about['scatter']:.3f}")
    print(f"written: {out}" if out else matrix.values.round(4).to_string())


@utility_app.command()
def agreement(
    documents: Documents,
    items: Items,
    task: TaskNames = None,
    judge: JudgeNames = None,
    override: Overrides = None,
    json: AsJson = False,
) -> None:
    """AUC of each judge on documents with binary quality labels, which no judge sees."""
    from dataclasses import asdict

    from storage.home import Home
    from tasks.utility.labelled_documents import (
        agreement_lines,
        measure_agreement,
        read_target,
    )
    from tasks.utility.quality_labels import read_labelled

    settings = _utility_settings(override or [])
    kept = Home.from_environment().root / "answers" / "agreement"
    found = measure_agreement(
        read_labelled(documents), read_target(items, task or ()), judge or ["ngram"], settings, kept, print
    )
    if json:
        print_json({name: one and asdict(one) for name, one in found.items()})
        return
    for line in agreement_lines(found):
        print(line)


@utility_app.command()
def rank(
    utility: UtilityFile,
    against: Annotated[Path, typer.Option("--against", help="The utility to compare with, likewise.")],
    json: AsJson = False,
) -> None:
    """Rank correlation of two utilities over sources, with its interval and the ratio of their costs."""
    from dataclasses import asdict

    from tasks.utility.judge_agreement import rank_agreement
    from tasks.utility.utility_files import load_utility

    found = rank_agreement(load_utility(utility), load_utility(against))
    print_json(asdict(found)) if json else print(found.line())


_SHOWN = {
    "stderr": "{:.4f}".format,
    "variance": "{:.3e}".format,
    "fall": "{:.3e}".format,
    "fall_share": "{:.1%}".format,
}


def _groups(given: list[str]) -> dict[str, list[str]]:
    groups = {}
    for text in given:
        name, separator, members = text.partition("=")
        if not separator or not name or not members:
            raise ValueError(f"--group {text!r}: must be NAME=SOURCE,SOURCE")
        groups[name] = members.split(",")
    return groups


def _utility_settings(overrides: list[str]) -> Any:
    """Settings of the utility stage from overrides as recipes take them, without their leading `utility.`."""
    from flows.recipes import load_recipe

    return load_recipe("pocket", [f"utility.{one.removeprefix('utility.')}" for one in overrides]).utility
