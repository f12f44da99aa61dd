"""The commands `mixstitch mix ...`: mixtures from tables alone, without a model, a server or a home."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.commands.console import keep, print_json, with_options_of
from flows.commands.mix_export import export
from flows.commands.mix_path import path
from flows.commands.mix_solve import read_utility, solve, whole
from tasks.method import lines
from tasks.mixture.laws import LAWS

mix_app = typer.Typer(
    no_args_is_help=True,
    help="Data mixtures from tables alone (CSV, TSV, JSONL, Parquet, also .gz and .zst): solve, fit a law to "
    "runs, compare methods.",
)

mix_app.command()(solve)
mix_app.command()(path)
mix_app.command()(export)

Runs = Annotated[
    str,
    typer.Option("--runs", help="Table: a row a run, with weights and losses. The law is fitted to it."),
]
Predict = Annotated[
    str | None, typer.Option("--predict", help="Table of mixtures to predict; scored where it holds losses.")
]
Law = Annotated[
    str,
    typer.Option(
        "--law",
        help=f"{lines(LAWS)}. Those that need utilities take them from --utility.",
    ),
]
WeightColumns = Annotated[
    str, typer.Option("--weights", help="Weight columns, a,b,c; empty: all w_*, weight_*, *_w, *_weight.")
]
LossColumns = Annotated[str, typer.Option("--losses", help="Loss columns, x,y; empty: all loss_*, *_loss.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="Only the runs with COLUMN=VALUE; may be given several times."),
]
PredictWhere = Annotated[
    list[str] | None, typer.Option("--predict-where", help="The same for the table of --predict.")
]
Last = Annotated[
    str | None,
    typer.Option(
        "--last", help="Of rows with the same weights only the one with the largest COLUMN (last checkpoint)."
    ),
]
Utility = Annotated[
    str | None,
    typer.Option(
        "--utility",
        help="Table: source, task, value; or sources in the first column, then a column a task.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@mix_app.command()
def fit(
    runs: Runs,
    predict: Predict = None,
    law: Law = "auto",
    weights: WeightColumns = "",
    losses: LossColumns = "",
    where: Where = None,
    predict_where: PredictWhere = None,
    last: Last = None,
    utility: Utility = None,
    json: Json = False,
) -> None:
    """Fit a law to the runs of a table, and predict (and score) the mixtures of another."""
    from flows.commands.mix_printing import print_fit
    from tasks.mixture.laws.law_fit import fit_and_score, read_both

    table, others = read_both(runs, predict, weights, losses, where or [], predict_where or [], last)
    told = fit_and_score(table, others, law, read_utility(utility).values if utility else None)
    print_json(told) if json else print_fit(told)


Out = Annotated[str | None, typer.Option("--out", help="Folder for the picture (.svg) and the JSON.")]
WeightNames = Annotated[str, typer.Option("--weight-columns", help="As --weights of `mix fit`.")]
LossNames = Annotated[str, typer.Option("--loss-columns", help="As --losses of `mix fit`.")]


Read = tuple[Any, Any, Any]


def runs_read(
    runs: Runs,
    predict: Predict = None,
    utility: Utility = None,
    weight_columns: WeightNames = "",
    loss_columns: LossNames = "",
    where: Where = None,
    predict_where: PredictWhere = None,
    last: Last = None,
) -> Read:
    """What commands on a table of runs share: the runs, those held out, and the utilities; None where not given."""
    from tasks.mixture.laws.law_fit import read_both

    table, others = read_both(
        runs, predict, weight_columns, loss_columns, where or [], predict_where or [], last
    )
    return table, others, read_utility(utility).values if utility else None


@mix_app.command()
@with_options_of(runs_read)
def compare(
    read: Read,
    tokens: Annotated[
        str | None, typer.Option("--tokens", help="Table of tokens a source holds: first column the source.")
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option("--budget", parser=whole, help="Tokens to train on; 1e11 and 100B are understood."),
    ] = None,
    cap: Annotated[
        float | None, typer.Option("--cap", help="Most epochs of any source; 4 with --tokens.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", help="Named mixtures (manual, DoReMi, ...): first column the name; or JSON."
        ),
    ] = None,
    laws: Annotated[str, typer.Option("--laws", help="Which laws, a,b,c; empty: all.")] = "",
    reference: Annotated[
        str, typer.Option("--reference", help="The law that judges proposals, fitted to all runs at hand.")
    ] = "diminishing+gp",
    pull: Annotated[
        float, typer.Option("--pull", help="How strongly proposals are drawn to the prior.")
    ] = 0.05,
    out: Out = None,
    json: Json = False,
) -> None:
    """Compare methods: how well laws predict held-out runs, and the mixture that each method would train."""
    from flows.commands.mix_printing import print_compared
    from tasks.mixture.comparing import compare as compare_methods
    from tasks.mixture.comparing import planned_budget
    from tasks.mixture.laws.law_fit import names_in
    from tasks.mixture.laws.named_tables import read_mixtures, read_tokens

    table, others, utilities = read
    counts = read_tokens(tokens) if tokens else None
    told = compare_methods(
        table,
        others,
        planned_budget(list(map(str, table.weights.columns)), counts, budget, cap),
        utilities,
        read_mixtures(weights) if weights else None,
        names_in(laws),
        reference,
        pull,
    )
    if out:
        from tasks.report.pictures.law_pictures import draw_comparison

        told["written"] = keep(out, "comparison", told, {"comparison": draw_comparison(told)})
    print_json(told) if json else print_compared(told)


@mix_app.command()
@with_options_of(runs_read)
def efficiency(
    read: Read,
    out: Annotated[str, typer.Option("--out", help="Folder for the picture (.svg) and the JSON.")],
    laws: Annotated[str, typer.Option("--laws", help="Which laws, a,b,c; empty: all but auto.")] = "",
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Random subsets a point.")] = 5,
    json: Json = False,
) -> None:
    """Where a swarm begins to pay: Spearman on held-out runs against the number of runs a law was fitted to."""
    from flows.commands.mix_printing import print_efficiency
    from tasks.mixture.laws.law_fit import names_in
    from tasks.mixture.laws.sample_efficiency import METHODS
    from tasks.mixture.laws.sample_efficiency import efficiency as measure_efficiency
    from tasks.report.pictures.law_pictures import draw_efficiency

    table, others, utilities = read
    if others is None:
        raise typer.BadParameter("a table of held-out runs, with losses, is needed", param_hint="--predict")
    told = measure_efficiency(
        table,
        others,
        names_in(laws) or METHODS,
        seeds=seeds,
        utility=utilities,
    )
    told["written"] = keep(out, "efficiency", told, {"efficiency": draw_efficiency(told)})
    print_json(told) if json else print_efficiency(told)
