"""What `mixstitch preference` prints: tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from flows.commands.console import interval, keep, number, say, say_written, show

if TYPE_CHECKING:
    from tasks.preference.annotation.aggregating import Aggregate
    from tasks.preference.correlating import Correlations
    from tasks.preference.measuring_next import NextMeasurements
    from tasks.preference.rating_fit import Fits
    from tasks.preference.table_forecast import TableForecast

MOST_ROWS = 30


def print_correlations(found: Correlations, written: list[str]) -> None:
    """Benchmarks by what they tell, the pairs that hold over all of them, structure, and refused claims."""
    told = found.limits
    say(
        f"{told['models']} models, {told['benchmarks']} benchmarks, {told['targets']} categories; unrelated figures "
        f"reach |r| = {told['null_abs_r_quantiles']['0.95']:.2f} once in 20 pairs and "
        f"{told['abs_r_needed_for_all_pairs']:.2f} once in 20 tables of as many pairs"
    )
    say(found.guard["words"])
    table = Table(title="benchmarks by mean Pearson r over the categories")
    table.add_column("benchmark", overflow="fold")
    for name in ("fewest models", "mean r", "interval", "rank", "rank from", "to", "p over all"):
        table.add_column(name, justify="right")
    for row in found.predictive.to_dict("records"):
        table.add_row(
            str(row["benchmark"]),
            str(row["n"]),
            f"{row['mean_r']:.2f}",
            f"{row['low']:.2f} to {row['high']:.2f}",
            f"{row['rank']:.0f}",
            f"{row['rank_low']:.0f}",
            f"{row['rank_high']:.0f}",
            number(row["p_family_wise"], 3),
        )
    show(table)
    for removed, words in (
        ("", "as they are"),
        *((r, f"without {r}") for r in ("log parameters", "general factor")),
    ):
        part = found.pairs[(found.pairs["removed"] == removed) & (found.pairs["statistic"] == "pearson")]
        if len(part):
            held = int((part["p_family_wise"] <= told["level"]).sum())
            say(f"Pearson r {words}: {held} of {len(part)} pairs hold over all tests together")
    signs = Table(title="categories: sign of their correlations")
    signs.add_column("category", overflow="fold")
    for name in ("fewest models", "benchmarks with r > 0", "mean r", "p over all"):
        signs.add_column(name, justify="right")
    for category in found.by_target.to_dict("records"):
        signs.add_row(
            str(category["target"]),
            str(category["models"]),
            f"{category['share_positive']:.0%}",
            number(category["mean_r"], 2),
            number(category["p_family_wise"], 3),
        )
    show(signs)
    spectrum = found.spectrum
    say(
        f"components of the correlations above chance: {spectrum['above_chance']} (rank at most "
        f"{spectrum['rank_ceiling']}; none is counted where no test holds)"
    )
    if found.communities is not None:
        sizes: dict[int, int] = {}
        for label in found.communities.labels.values():
            sizes[label] = sizes.get(label, 0) + 1
        say(
            f"communities ({found.communities.method}): sizes {sorted(sizes.values(), reverse=True)}; "
            f"stability {found.communities.stability:.2f} (1 the same in resamples, 0 chance)"
        )
    _print_words(found.refused, found.notes, written)


def print_fits(found: Fits, written: list[str]) -> None:
    """By scheme the methods' summary, and each category of the first method."""
    from tasks.preference.engine.intervals import coverage_words

    for scheme, validation in found.validations.items():
        table = Table(
            title=f"{scheme}: {len(found.data.models)} models, {len(found.data.benchmarks)} benchmarks"
        )
        table.add_column("method", no_wrap=True)
        for name in ("median RMSE", "over best baseline", "median ratio", "worst ratio", "intervals hold"):
            table.add_column(name, justify="right")
        for row in validation.summary():
            cover = "–" if row["coverage"] is None else f"{row['coverage']:.1%} of {row['intervals']}"
            table.add_row(
                row["method"],
                f"{row['median_rmse']:.4g}",
                f"{row['ratio_of_medians']:.3f}",
                f"{row['median_ratio']:.3f}",
                f"{row['worst_ratio']:.2f} ({row['worst_target']})",
                cover,
            )
        show(table)
        first = validation.table["method"].iloc[0]
        part = validation.table[validation.table["method"] == first]
        detail = Table(title=f"{scheme}, {first} by category")
        detail.add_column("category", overflow="fold")
        for name in ("n", "RMSE", "interval", "baseline", "its RMSE", "ratio", "intervals hold"):
            detail.add_column(name, justify="right")
        for row in part.itertuples():
            detail.add_row(
                str(row.target),
                str(row.n),
                f"{row.rmse:.4g}",
                f"{row.rmse_low:.3g} to {row.rmse_high:.3g}",
                str(row.baseline),
                f"{row.baseline_rmse:.4g}",
                f"{row.ratio:.2f}",
                "–" if row.coverage != row.coverage else f"{row.coverage:.0%}",
            )
        show(detail)
        chosen = validation.summary()[0]
        say(coverage_words(validation.confidence, chosen["coverage"], chosen["intervals"]))
    _print_words(found.refused, found.notes, written)


def print_forecast(found: TableForecast) -> None:
    """One row a model and category."""
    table = Table(title=f"{found.method}, {found.confidence:.0%} intervals")
    for name in ("model", "category"):
        table.add_column(name, overflow="fold")
    for name in ("forecast", "interval"):
        table.add_column(name, justify="right")
    for row in found.rows.head(MOST_ROWS).itertuples():
        table.add_row(
            str(row.model), str(row.target), f"{row.predicted:.4g}", f"{row.low:.4g} to {row.high:.4g}"
        )
    show(table)
    if len(found.rows) > MOST_ROWS:
        say(f"{len(found.rows) - MOST_ROWS} more rows: --json")
    say(found.coverage["words"])
    _print_words(found.refused, found.notes)


def print_next(found: NextMeasurements) -> None:
    """Benchmarks and models by what they would cut for their cost, and how such promises held before."""
    for title, frame, first in (
        ("measure on the models to forecast", found.benchmarks, "benchmark"),
        ("rate", found.models, "model"),
    ):
        table = Table(title=f"{title}: fall of the forecast's variance, as a share of the ratings' own")
        for name in frame.columns:
            table.add_column(
                name.replace("_", " "), overflow="fold", justify="left" if name == first else "right"
            )
        for row in frame.head(MOST_ROWS).to_dict("records"):
            table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row.values()))
        show(table)
    told = found.backwards
    if told is None:
        say("not tried backwards: fewer than eight rated models are older than another")
    else:
        say(
            f"backwards on {told['models']} models of {told['dates']} dates: squared error fell by "
            f"{told['brought_by_promised_best']:.4g} with the benchmark promised best, {told['brought_by_lot']:.4g} "
            f"with one drawn by lot, {told['brought_by_best_in_hindsight']:.4g} with the best in hindsight"
        )
    _print_words([], found.notes)


def print_aggregate(found: Aggregate, out: str | None) -> None:
    """Ratings over all judgements, then counts and agreement of each place."""
    table = Table(title=f"{found.kind}, {found.origin}: all judgements, {found.confidence:.0%} intervals")
    table.add_column("model", overflow="fold")
    for name in ("items", "judgements", "score", "interval", "Elo", "interval"):
        table.add_column(name, justify="right")
    for row in found.ratings[found.ratings["level"] == "all"].to_dict("records"):
        elo = "elo" in row and row["elo"] == row["elo"]
        table.add_row(
            row["model"],
            str(row["items"]),
            str(row["judgements"]),
            number(row["score"], 3),
            interval((row["score_low"], row["score_high"]), 3),
            number(row["elo"], 1) if elo else "–",
            interval((row["elo_low"], row["elo_high"]), 1) if elo else "–",
        )
    show(table)
    places = Table(title="places of the taxonomy")
    places.add_column("place", overflow="fold")
    for name in ("models", "items", "annotators", "judgements", "alpha", "interval", "first named chosen"):
        places.add_column(name, justify="right")
    for row in found.places.to_dict("records"):
        agreement, order = row["alpha"], row["order"]
        places.add_row(
            " > ".join(part for part in (row["area"], row["category"], row["subcategory"]) if part) or "all",
            *(number(row[name], 0) for name in ("models", "items", "annotators", "judgements")),
            number(agreement["alpha"], 2) if agreement else "–",
            interval((agreement["low"], agreement["high"]), 2) if agreement else "–",
            f"{order['share_first']:.0%}" if order else "–",
        )
    show(places)
    for note in found.notes:
        say(f"note: {note}")
    say_written([out] if out else [])


def keep_correlations(folder: str, found: Correlations, told: dict[str, Any]) -> list[str]:
    """Writes correlations.json and a heat map for each part removed; their paths."""
    from tasks.report.pictures.preference_pictures import draw_correlations

    pictures = {
        f"correlations{'-without-' if removed else ''}{str(removed).replace(' ', '-')}": draw_correlations(
            found.pairs, removed=str(removed)
        )
        for removed in dict.fromkeys(found.pairs["removed"])
    }
    return keep(folder, "correlations", told, pictures)


def keep_fits(folder: str, found: Fits, told: dict[str, Any]) -> list[str]:
    """Writes fit.json, and by scheme the forecasts against the ratings and, where intervals are finite, calibration."""
    from tasks.report.pictures.preference_pictures import draw_calibration, draw_forecasts

    pictures = {}
    for scheme, validation in found.validations.items():
        method = str(validation.table["method"].iloc[0])
        cells = validation.cells[validation.cells["method"] == method]
        pictures[f"{scheme}-forecasts"] = draw_forecasts(cells)
        if (cells["half_width"] < float("inf")).any():
            pictures[f"{scheme}-calibration"] = draw_calibration(cells, validation.confidence)
    return keep(folder, "fit", told, pictures)


def _print_words(refused: list[dict[str, Any]], notes: list[str], written: Sequence[str] = ()) -> None:
    from tasks.preference.association.guard import in_words

    for claim in refused:
        say(in_words(claim))
    for note in notes:
        say(f"note: {note}")
    say_written(written)
