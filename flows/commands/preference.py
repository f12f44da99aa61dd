"""The commands `mixstitch preference ...`: human ratings and benchmarks from tables alone, without a home."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.commands.console import print_json, with_options_of

preference_app = typer.Typer(
    no_args_is_help=True,
    help="Human ratings from tables (CSV, TSV, JSONL, Parquet, also .gz and .zst): correlate "
    "benchmarks with them, fit and validate, forecast, aggregate votes.",
)

Scores = Annotated[
    list[str],
    typer.Option(
        "--scores",
        help="Table: model and a column a benchmark, or model, benchmark, score; or results of lm-evaluation-harness "
        "(results_*.json, or a folder of them); several times.",
    ),
]
Ratings = Annotated[
    str,
    typer.Option(
        "--ratings",
        help="Likewise: model and a column a category, or model, category, rating (with low, high).",
    ),
]
Models = Annotated[
    str | None, typer.Option("--models", help="Table of models: family, params_b (billions), date.")
]
Join = Annotated[
    str,
    typer.Option("--join", help="exact; or normalised: case, punctuation and organisation do not count."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", help="Column or quantity to leave out; several times, or a,b,c."),
]
Also = Annotated[
    list[str] | None,
    typer.Option(
        "--also",
        help="Column or quantity to take that is left out by its name (rank, votes, date, parameters, a rating among "
        "the scores, ...); several times, or a,b,c.",
    ),
]
Benchmarks = Annotated[str, typer.Option("--benchmarks", help="Only these benchmarks, a,b,c.")]
Targets = Annotated[str, typer.Option("--targets", help="Only these categories, a,b,c.")]
ScoreModel = Annotated[
    str | None, typer.Option("--score-model", help="Column of the model's name in the scores.")
]
RatingModel = Annotated[
    str | None, typer.Option("--rating-model", help="Column of the model's name in the ratings.")
]
OnlyModels = Annotated[list[str] | None, typer.Option("--model", help="Only this model; several times.")]
Confidence = Annotated[float, typer.Option("--confidence", help="Level of the intervals.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of permutations and resamples.")]
Out = Annotated[str | None, typer.Option("--out", help="Folder for the pictures (.svg) and the JSON.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


Tables = dict[str, Any]


def tables_of(
    scores: Scores,
    ratings: Ratings,
    models: Models = None,
    join: Join = "exact",
    ignore: Ignore = None,
    also: Also = None,
    benchmarks: Benchmarks = "",
    targets: Targets = "",
    model: OnlyModels = None,
    score_model: ScoreModel = None,
    rating_model: RatingModel = None,
) -> Tables:
    """Which tables are read, and how: what all commands on scores and ratings share."""
    return {
        "scores": scores,
        "ratings": ratings,
        "models": models,
        "join": join,
        "ignore": [name for text in ignore or [] for name in _names(text)],
        "also": [name for text in also or [] for name in _names(text)],
        "benchmarks": _names(benchmarks),
        "targets": _names(targets),
        "only_models": model or [],
        "score_model": score_model,
        "rating_model": rating_model,
    }


@preference_app.command()
@with_options_of(tables_of)
def correlate(
    tables: Tables,
    permutations: Annotated[int, typer.Option("--permutations", help="Random orders for p-values.")] = 2000,
    confidence: Confidence = 0.9,
    level: Annotated[float, typer.Option("--level", help="Level of tests over all pairs.")] = 0.05,
    overall: Annotated[
        str | None,
        typer.Option("--overall", help="Category that is the general factor; empty: mean of the others."),
    ] = None,
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Correlate every benchmark with every category, beside what chance gives and what must not be claimed."""
    from flows.commands.preference_printing import keep_correlations, print_correlations
    from tasks.preference.correlating import correlate as correlate_tables

    found = correlate_tables(
        **tables,
        permutations=permutations,
        confidence=confidence,
        level=level,
        overall=overall,
        random_seed=seed,
    )
    told = found.to_json()
    if out:
        told["written"] = keep_correlations(out, found, told)
    print_json(told) if json else print_correlations(found, told.get("written", []))


@preference_app.command()
@with_options_of(tables_of)
def fit(
    tables: Tables,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="auto, level-light, level-strong, ridge, pls, pcr, elastic-net, min-norm; several times.",
        ),
    ] = None,
    scheme: Annotated[
        list[str] | None,
        typer.Option(
            "--scheme",
            help="leave-one-model-out, leave-one-family-out, forward-in-time; several times; empty: all possible.",
        ),
    ] = None,
    confidence: Confidence = 0.9,
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Fit ratings on benchmarks, and try the fit on models it has not seen, beside three baselines."""
    from flows.commands.preference_printing import keep_fits, print_fits
    from tasks.preference.rating_fit import fit_tables

    found = fit_tables(
        **tables,
        methods=method or ["auto"],
        schemes=scheme or [],
        confidence=confidence,
        random_seed=seed,
    )
    told = found.to_json()
    if out:
        told["written"] = keep_fits(out, found, told)
    print_json(told) if json else print_fits(found, told.get("written", []))


@preference_app.command()
@with_options_of(tables_of)
def forecast(
    tables: Tables,
    method: Annotated[str, typer.Option("--method", help="As of `preference fit`.")] = "auto",
    confidence: Confidence = 0.9,
    json: Json = False,
) -> None:
    """Forecast the ratings of the models that have scores and no rating."""
    from flows.commands.preference_printing import print_forecast
    from tasks.preference.table_forecast import forecast as forecast_tables

    found = forecast_tables(
        **tables,
        method=method,
        confidence=confidence,
    )
    print_json(found.to_json()) if json else print_forecast(found)


@preference_app.command("next")
@with_options_of(tables_of)
def measure_next(
    tables: Tables,
    costs: Annotated[
        str | None,
        typer.Option(
            "--costs", help="Table of name and cost: of a benchmark on one model, of rating a model."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Rank benchmarks to measure and models to rate by how much they would cut the forecast's error for their cost."""
    from flows.commands.preference_printing import print_next
    from tasks.preference.measuring_next import measure_next as rank_measurements

    found = rank_measurements(
        **tables,
        costs=costs,
    )
    print_json(found.to_json()) if json else print_next(found)


@preference_app.command()
def aggregate(
    judgements: Annotated[
        str,
        typer.Option(
            "--judgements",
            help="Table of Likert rows, choices, absolute ratings or counts of wins.",
        ),
    ],
    kind: Annotated[
        str | None, typer.Option("--kind", help="likert, choice, absolute, wins; empty: told by the columns.")
    ] = None,
    category_column: Annotated[
        str | None, typer.Option("--category-column", help="Column that is the category, if not `category`.")
    ] = None,
    rating: Annotated[
        str,
        typer.Option("--rating", help="What --out holds: elo (Bradley-Terry) or score (means in [0, 1])."),
    ] = "elo",
    out: Annotated[
        str | None, typer.Option("--out", help="CSV to write the ratings to, as --ratings takes them.")
    ] = None,
    bootstraps: Annotated[int, typer.Option("--bootstraps", help="Resamples for the intervals.")] = 500,
    confidence: Confidence = 0.9,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Ratings of models from what annotators said, by category, with agreement and clustered intervals."""
    from flows.commands.preference_printing import print_aggregate
    from tasks.preference.annotation.aggregating import aggregate as aggregate_judgements

    found = aggregate_judgements(
        judgements,
        kind,
        category_column=category_column,
        confidence=confidence,
        bootstraps=bootstraps,
        random_seed=seed,
    )
    if out:
        found.table(rating).to_csv(out, index=False)
    print_json(found.to_json()) if json else print_aggregate(found, out)


@preference_app.command()
def annotate(
    responses: Annotated[
        str,
        typer.Option("--responses", help="Table of item, model, response, rule, argument, and category."),
    ],
    out: Annotated[str, typer.Option("--out", help="CSV of choices to write, as `aggregate` takes them.")],
) -> None:
    """Let rules with a known answer choose between responses; their choices are called programmatic."""
    from tasks.preference.annotation.programmatic import annotate as annotate_responses
    from tasks.preference.annotation.programmatic import choices_table

    found = choices_table(annotate_responses(responses))
    found.to_csv(out, index=False)
    print(f"written: {out} ({len(found)} programmatic choices)")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
