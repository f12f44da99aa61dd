"""The commands `mixstitch mix solve` and `mixstitch mix path`: a mixture from a utility table and token counts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture
    from tasks.utility.matrix import UtilityMatrix

HEURISTICS = ("uniform", "proportional", "unimax", "olmo", "manual")
UtilityFile = Annotated[
    Path | None,
    typer.Option(
        "--utility",
        help="CSV or Parquet: source, task, value and optionally stderr; or source and a column a task.",
    ),
]
Tokens = Annotated[
    Path, typer.Option("--tokens", help="CSV or Parquet: source and the tokens that it holds.")
]
Risk = Annotated[
    float | None, typer.Option("--risk", help="Risk weight of UtiliMax; empty: the number of sources.")
]
Kappa = Annotated[
    float | None,
    typer.Option(
        "--kappa",
        help="Weight of the standard errors in the risk, where there are some: 1; 0 is the paper's.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def whole(text: str) -> int:
    try:
        return int(text) if text.strip().isdigit() else _as_whole(float(text))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{text!r} is no whole number of tokens") from error


def _as_whole(number: float) -> int:
    if number != int(number):
        raise ValueError(number)
    return int(number)


def solve(
    tokens: Tokens,
    budget: Annotated[
        int, typer.Option("--budget", parser=whole, help="Tokens to train on; 1e9 is understood.")
    ],
    utility: UtilityFile = None,
    cap: Annotated[float, typer.Option("--cap", help="Most epochs of any source.")] = 4.0,
    method: Annotated[
        str,
        typer.Option(
            "--method", help=f"utilimax; {', '.join(HEURISTICS)}; or a law of `mix fit`, with --runs."
        ),
    ] = "utilimax",
    risk: Risk = None,
    kappa: Kappa = None,
    bootstraps: Annotated[
        int, typer.Option("--bootstraps", min=0, help="Utilities drawn from the errors for the intervals.")
    ] = 200,
    soft_epochs: Annotated[
        bool,
        typer.Option("--soft-epochs", help="No cap: what is read again is worth less and less (R = 15.39)."),
    ] = False,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="For manual: CSV with source and weight.")
    ] = None,
    runs: Annotated[
        str | None, typer.Option("--runs", help="For a law: table of runs with weights and losses.")
    ] = None,
    json: Json = False,
) -> None:
    """The mixture of a budget, with its certificate."""
    from flows.commands.mix_printing import print_object, print_solved
    from tasks.mixture.laws.named_tables import read_tokens

    sizes = read_tokens(tokens)
    given = {
        "--risk": risk is not None,
        "--kappa": kappa is not None,
        "--soft-epochs": soft_epochs,
        "--weights": weights is not None,
        "--runs": runs is not None,
    }
    if method == "utilimax":
        _refuse(method, given, {"--risk", "--kappa", "--soft-epochs"})
        mixture = _utilimax(utility, sizes, budget, cap, risk, kappa, bootstraps, soft_epochs)
    elif method in HEURISTICS:
        _refuse(method, given, {"--weights"} if method == "manual" else set())
        mixture = _heuristic(method, sizes, budget, cap, weights)
    else:
        _refuse(method, given, {"--runs"})
        mixture = _by_law(method, runs, utility, sizes, budget, cap)
    print_object(mixture.to_json()) if json else print_solved(mixture)


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
    from flows.commands.mix_printing import keep, print_object, print_path
    from tasks.mixture.laws.named_tables import read_tokens
    from tasks.mixture.path import mixture_path

    matrix = read_utility(utility)
    points = mixture_path(
        matrix.values,
        read_tokens(tokens),
        [whole(number) for number in budgets.split(",")],
        _numbers("--caps", caps),
        risk=risk,
        **_with_errors(matrix, kappa),
    )
    told: dict[str, Any] = {"points": [point.row() for point in points]}
    if out:
        from tasks.report.pictures.mixture_path import draw_path

        told["written"] = keep(out, "path", told, draw_path(points))
    print_object(told) if json else print_path(told)


def _utilimax(
    utility: Path | None,
    sizes: dict[str, int],
    budget: int,
    cap: float,
    risk: float | None,
    kappa: float | None,
    bootstraps: int,
    soft_epochs: bool,
) -> Mixture:
    from tasks.mixture.portfolio import utilimax

    if utility is None:
        raise ValueError("--utility: not given; the method utilimax needs a table of utilities")
    matrix = read_utility(utility)
    options = _with_errors(matrix, kappa)
    if options:
        options["bootstraps"] = bootstraps
    return utilimax(matrix.values, sizes, budget, cap, risk, soft_epochs=soft_epochs, **options)


def _with_errors(matrix: UtilityMatrix, kappa: float | None) -> dict[str, Any]:
    """The options of `utilimax` that come from standard errors; none where the table has none."""
    if not matrix.about["stderr"]:
        if kappa is not None:
            raise ValueError(f"--kappa {kappa:g}: goes with a column stderr in --utility, which is not there")
        return {}
    return {"errors": matrix.errors, "kappa": 1.0 if kappa is None else kappa}


def _heuristic(method: str, sizes: dict[str, int], budget: int, cap: float, weights: Path | None) -> Mixture:
    from tasks.mixture.heuristics import heuristic
    from tasks.mixture.laws.named_tables import read_weights

    if method == "manual" and weights is None:
        raise ValueError("--weights: not given; the method manual needs a table of source and weight")
    return heuristic(method, sizes, budget, cap, weights=read_weights(weights) if weights else None)


def _by_law(
    method: str, runs: str | None, utility: Path | None, sizes: dict[str, int], budget: int, cap: float
) -> Mixture:
    from tasks.mixture.laws.fitted_law import LAWS, fit_law
    from tasks.mixture.laws.law_fit import losses_of, read_both

    if method not in LAWS:
        allowed = ", ".join(("utilimax", *HEURISTICS, *LAWS))
        raise ValueError(f"--method {method}: no such method; allowed: {allowed}")
    if runs is None:
        raise ValueError(f"--runs: not given; the law {method} needs a table of runs to be fitted to")
    table, _ = read_both(runs, None)
    values = None if utility is None else read_utility(utility).values
    return fit_law(table.weights, losses_of(table), method, utility=values).propose(budget, sizes, cap)


def read_utility(file: str | Path) -> UtilityMatrix:
    """The utility of a table, or of the folder of a run's stage `utility`."""
    from tasks.utility.utility_files import load_utility

    return load_utility(Path(file))


def _refuse(method: str, given: dict[str, bool], allowed: set[str]) -> None:
    wrong = sorted(name for name, is_given in given.items() if is_given and name not in allowed)
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: has no effect with --method {method}")


def _numbers(option: str, text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{option} {text}: must be numbers with commas between") from error
    if any(math.isnan(number) for number in found):
        raise ValueError(f"{option} {text}: must be numbers with commas between")
    return found
