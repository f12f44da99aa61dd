"""The command `mixstitch mix solve`: a mixture from what is known of the sources, and from token counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from flows.commands.console import print_json
from flows.commands.mix_export import PlacesOfSources, write_mixture
from flows.recipes import apply_override
from storage.refusals import refusals
from tasks.method import lines
from tasks.mixture.methods import METHODS, METHODS_BY_NAME
from tasks.mixture.mixture_method import Found, MixtureMethod, Question
from tasks.mixture.settings import MixtureSettings
from tasks.mixture.trainer_formats import TRAINERS
from tasks.tables.token_counts import token_count

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture
    from tasks.utility.matrix import UtilityMatrix


# Those that need no proxies.
FROM_TABLES = [m for m in METHODS if m.evidence in ("none", "weights", "utility")]
UtilityFile = Annotated[
    Path | None,
    typer.Option(
        "--utility",
        help="Table: source, task, value and optionally stderr; or source and a column a task.",
    ),
]
Tokens = Annotated[Path, typer.Option("--tokens", help="Table: source and the tokens that it holds.")]
Risk = Annotated[
    float | None, typer.Option("--risk", help="Risk weight of UtiliMax; empty: the number of sources.")
]
Kappa = Annotated[
    float | None,
    typer.Option(
        "--kappa",
        help="Weight of the standard errors in the risk; empty: 0, as in the paper.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def whole(text: str) -> int:
    try:
        return token_count(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def solve(
    tokens: Tokens,
    budget: Annotated[
        int, typer.Option("--budget", parser=whole, help="Tokens to train on; 1e11 and 100B are understood.")
    ],
    utility: UtilityFile = None,
    cap: Annotated[float, typer.Option("--cap", help="Most epochs of any source.")] = 4.0,
    method: Annotated[
        str,
        typer.Option("--method", help=f"{lines(FROM_TABLES)}; or a law of `mix fit`, with --runs."),
    ] = "returns",
    losses: Annotated[
        Path | None,
        typer.Option(
            "--losses",
            help="Table: source, task, value and optionally stderr: losses of proxies trained on one source each, "
            "above 0, lower is better.",
        ),
    ] = None,
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
        Path | None, typer.Option("--weights", help="For manual: table with source and weight.")
    ] = None,
    runs: Annotated[
        str | None,
        typer.Option("--runs", help="For a law, and for returns: table of runs with weights and losses."),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "-o", "--override", help="A setting of the method, NAME=VALUE; may be given several times."
        ),
    ] = None,
    export: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--export",
            metavar="TRAINER FILE",
            help=f"Write the mixture as {', '.join(TRAINERS)} reads it, with --paths.",
        ),
    ] = None,
    paths: PlacesOfSources = None,
    json: Json = False,
) -> None:
    """The mixture of a budget, with its certificate."""
    from flows.commands.mix_printing import print_solved
    from tasks.mixture.laws.named_tables import read_tokens

    sizes = read_tokens(tokens)
    given = {
        "--risk": risk is not None,
        "--kappa": kappa is not None,
        "--soft-epochs": soft_epochs,
        "--weights": weights is not None,
        "--runs": runs is not None,
        "--losses": losses is not None,
        "-o": bool(override),
    }
    if method == "utilimax":
        _refuse(method, given, {"--risk", "--kappa", "--soft-epochs", "--losses"})
        matrix = _matrix(utility, losses)
        mixture = _utilimax(matrix, sizes, budget, cap, risk, kappa, bootstraps, soft_epochs)
    elif method == "returns":
        _refuse(method, given, {"--losses", "--runs"})
        mixture = _by_returns(sizes, budget, cap, utility, losses, runs)
    elif method in {m.name for m in FROM_TABLES}:
        _refuse(method, given, {"--weights"} if METHODS_BY_NAME[method].evidence == "weights" else {"-o"})
        mixture = _by_rule(METHODS_BY_NAME[method], sizes, budget, cap, weights, override or [])
    else:
        _refuse(method, given, {"--runs"})
        mixture = _by_law(method, runs, utility, sizes, budget, cap)
    if export is not None:
        write_mixture(mixture, *export, paths or [])
    elif paths:
        raise ValueError("--paths: has no effect without --export")
    print_json(mixture.to_json()) if json else print_solved(mixture)


def _matrix(utility: Path | None, losses: Path | None) -> UtilityMatrix:
    """The table of utilities, or the utilities that losses of proxies on one source each give."""
    from tasks.mixture.single_losses import read_single_losses, utility_of_losses

    if utility is not None and losses is None:
        return read_utility(utility)
    if losses is not None and utility is None:
        return utility_of_losses(*read_single_losses(losses))
    raise ValueError("--utility: the method utilimax needs a table of utilities, or --losses instead")


def _by_returns(
    sizes: dict[str, int],
    budget: int,
    cap: float,
    utility: Path | None,
    losses: Path | None,
    runs: str | None,
) -> Mixture:
    """The default, from whatever evidence is given; none gives UniMax."""
    from tasks.mixture.found_weights import runs_of
    from tasks.mixture.laws.law_fit import losses_of, read_both
    from tasks.mixture.methods.returns import sure_returns
    from tasks.mixture.single_losses import read_single_losses

    matrix = None if utility is None else read_utility(utility)
    values = errors = table = None
    if losses is not None:
        values, errors = read_single_losses(losses)
    if runs is not None:
        read, _ = read_both(runs, None)
        table = runs_of(read.weights, losses_of(read))
    question = Question(
        sizes,
        budget,
        utility=None if matrix is None else matrix.values,
        errors=None if matrix is None else matrix.errors,
        found=Found(runs=table, losses=values, loss_errors=errors),
    )
    return sure_returns(question, cap)


def _utilimax(
    matrix: UtilityMatrix,
    sizes: dict[str, int],
    budget: int,
    cap: float,
    risk: float | None,
    kappa: float | None,
    bootstraps: int,
    soft_epochs: bool,
) -> Mixture:
    from tasks.mixture.portfolio import utilimax

    options = with_errors(matrix, kappa)
    if options:
        options["bootstraps"] = bootstraps
    return utilimax(matrix.values, sizes, budget, cap, risk, soft_epochs=soft_epochs, **options)


def with_errors(matrix: UtilityMatrix, kappa: float | None) -> dict[str, Any]:
    """The options of `utilimax` that come from standard errors; none where the table has none."""
    if not matrix.about["stderr"]:
        if kappa is not None:
            raise ValueError(f"--kappa {kappa:g}: goes with a column stderr in --utility, which is not there")
        return {}
    return {"errors": matrix.errors, "kappa": kappa or 0.0}


def _by_rule(
    method: MixtureMethod,
    sizes: dict[str, int],
    budget: int,
    cap: float,
    weights: Path | None,
    overrides: list[str],
) -> Mixture:
    from tasks.mixture.laws.named_tables import read_weights

    given: dict[str, Any] = {}
    if method.evidence == "weights":
        if weights is None:
            raise ValueError(
                f"--weights: not given; the method {method.name} needs a table of source and weight"
            )
        given = {"manual": read_weights(weights)}
    own = method.own_settings(MixtureSettings)
    for override in overrides:
        name = override.partition("=")[0].partition(".")[0].strip()
        if name not in own:
            told = "--cap says it" if name == "epoch_cap" else "it has no effect here"
            raise ValueError(f"-o {override}: {told}; settings of {method.name}: {', '.join(own) or 'none'}")
        apply_override(given, override)
    try:
        settings = method.configured(**given)
    except ValidationError as error:
        told = "; ".join(refusals(error))
        raise ValueError(
            f"--method {method.name}: {told}; its settings: {', '.join(own) or 'none'}"
        ) from error
    settings = settings.model_copy(update={"epoch_cap": cap})
    return method.solve(settings, Question(sizes, budget))


def _by_law(
    method: str, runs: str | None, utility: Path | None, sizes: dict[str, int], budget: int, cap: float
) -> Mixture:
    from tasks.mixture.laws import LAWS_BY_NAME
    from tasks.mixture.laws.fitted_law import fit_law
    from tasks.mixture.laws.law_fit import losses_of, read_both

    if method not in LAWS_BY_NAME:
        allowed = ", ".join((*(m.name for m in FROM_TABLES), *LAWS_BY_NAME))
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
