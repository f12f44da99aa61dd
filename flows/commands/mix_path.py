"""The command `mixstitch mix path`: UtiliMax over budgets and epoch caps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.console import keep, print_json
from flows.commands.mix_solve import Json, Kappa, Risk, Tokens, read_utility, whole, with_errors


def path(
    utility: Annotated[Path, typer.Option("--utility", help="As of `mix solve`.")],
    tokens: Tokens,
    budgets: Annotated[str, typer.Option("--budgets", help="Budgets in tokens, a,b,c.")],
    caps: Annotated[str, typer.Option("--caps", help="Epoch caps, a,b,c; inf: none.")] = "4",
    risk: Risk = None,
    kappa: Kappa = None,
    out: Annotated[
        str | None, typer.Option("--out", help="Folder for the picture (.svg) and the JSON.")
    ] = None,
    json: Json = False,
) -> None:
    """UtiliMax over budgets and epoch caps, as a table and a picture."""
    from flows.commands.mix_printing import print_path
    from tasks.mixture.laws.named_tables import read_tokens
    from tasks.mixture.path import mixture_path

    matrix = read_utility(utility)
    points = mixture_path(
        matrix.values,
        read_tokens(tokens),
        [whole(number) for number in budgets.split(",")],
        _numbers("--caps", caps),
        risk=risk,
        **with_errors(matrix, kappa),
    )
    told: dict[str, Any] = {"points": [point.row() for point in points]}
    if out:
        from tasks.report.pictures.mixture_path import draw_path

        told["written"] = keep(out, "path", told, {"path": draw_path(points)})
    print_json(told) if json else print_path(told)


def _numbers(option: str, text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{option} {text}: must be numbers with commas between") from error
    if any(math.isnan(number) for number in found):
        raise ValueError(f"{option} {text}: must be numbers with commas between")
    return found
