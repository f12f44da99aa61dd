"""What `mixstitch mix` prints: tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from flows.commands.console import interval, number, say, say_written, show

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture


def print_fit(told: dict[str, Any]) -> None:
    """Scores by loss, regret, what `auto` is the middle of, and one prediction a row."""
    about = told["about"]
    say(
        f"law {told['law']}: {about['runs']} runs, {len(about['sources'])} sources, {len(about['losses'])} losses, "
        f"fitted in {told['seconds']['fit']:.1f} s"
    )
    for name, value in about.get("constant_losses", {}).items():
        say(f"{name} is {value:g} in every run: nothing moves it, and it is predicted as that")
    if "middle_of" in about:
        say(f"the middle of: {', '.join(about['middle_of'])}")
    if told["spearman"]:
        _print_scores(told)
    elif told["predict"]:
        say("no losses in the table of --predict: predictions only")
    if told["not_scored"]:
        say(f"not in both tables, so not scored: {', '.join(told['not_scored'])}")
    _print_predictions(told)


def _print_scores(told: dict[str, Any]) -> None:
    table = Table(title=f"held against {told['predict']['file']}, {told['predict']['rows']} mixtures")
    table.add_column("loss", overflow="fold")
    table.add_column("Spearman", justify="right")
    table.add_column("95% interval", justify="right")
    for name, value in told["spearman"].items():
        table.add_row(name, number(value), interval(told["spearman_interval"][name]))
    table.add_section()
    table.add_row(
        "mean of the losses", number(told["spearman_mean"]), interval(told["spearman_mean_interval"])
    )
    show(table)
    for name, value in told["regret"].items():
        say(
            f"regret {name.replace('_', '-')}: {value:.4f} (mean loss of the best of the predicted "
            f"{name.removeprefix('top_')}, less that of the best of all)"
        )


def _print_predictions(told: dict[str, Any]) -> None:
    names = told["about"]["losses"]
    shown = names if len(names) <= 10 else []
    table = Table(title="predicted losses" + ("" if shown else " (each loss: --json)"))
    table.add_column("row", no_wrap=True)
    table.add_column("mean", justify="right")
    for name in shown:
        table.add_column(name, justify="right", overflow="fold")
    for row in told["predictions"]:
        table.add_row(
            str(row["index"]), f"{row['mean']:.4f}", *(f"{row['losses'][name]:.4f}" for name in shown)
        )
    show(table)


def print_compared(told: dict[str, Any]) -> None:
    """One row a method, the weights of each proposal, and what must be known to read them."""
    title = "methods" if told["held_out"] is None else f"methods, scored on {told['held_out']} held-out runs"
    table = Table(title=title)
    table.add_column("method", no_wrap=True)
    for name in (
        "Spearman",
        "95% interval",
        "regret 1",
        "regret 5",
        "proposal's loss",
        "its regret",
        "sources",
        "s",
    ):
        table.add_column(name, justify="right")
    for entry in told["methods"]:
        regret = entry.get("regret", {})
        table.add_row(
            entry["title"],
            number(entry.get("spearman_mean")),
            interval(entry.get("spearman_mean_interval")),
            number(regret.get("top_1")),
            number(regret.get("top_5")),
            number(entry["predicted"]["mean"]),
            number(entry["proposal_regret"]),
            f"{entry['effective_sources']:.1f}" + ("*" if entry["breaks_cap"] else ""),
            "–" if entry["seconds"] is None else f"{entry['seconds']:.1f}",
        )
    show(table)
    shares = Table(title="weights, %")
    shares.add_column("source", no_wrap=True)
    for entry in told["methods"]:
        shares.add_column(entry["title"], justify="right", overflow="fold")
    for source in told["sources"]:
        shares.add_row(source, *(f"{100 * entry['weights'][source]:.1f}" for entry in told["methods"]))
    show(shares)
    for note in told["notes"]:
        say(f"note: {note}")
    for entry in told["methods"]:
        if entry["breaks_cap"]:
            say(f"* {entry['title']} breaks the cap of {', '.join(entry['breaks_cap'])}")
    say_written(told.get("written", []))


def print_solved(mixture: Mixture) -> None:
    """One row a source, then what certifies the mixture."""
    facts = mixture.certificate.whole()
    table = Table(title=f"{facts['method']}: {facts['budget']:,} tokens")
    table.add_column("source", no_wrap=True)
    columns = {"weight": mixture.weights, "tokens": mixture.tokens, "epochs": mixture.epochs}
    intervals, prices = facts.get("weight_intervals"), facts.get("shadow_prices")
    titles = [*columns, *(["95% interval"] if intervals else []), *(["shadow price"] if prices else [])]
    for name in titles:
        table.add_column(name, justify="right")
    for source in mixture.weights:
        cells = [
            f"{mixture.weights[source]:.4f}",
            f"{mixture.tokens[source]:,}",
            f"{mixture.epochs[source]:.3g}",
        ]
        if intervals:
            cells.append(interval(intervals[source]))
        if prices:
            cells.append(f"{prices[source]:.3g}")
        table.add_row(source, *cells)
    show(table)
    if prices:
        say("shadow price: what the objective falls by for a billion more tokens of the source")
    if "objective" in facts:
        say(
            f"objective {facts['objective']:.8g}, duality gap {facts['gap']:.1e}, "
            f"KKT residual {facts['kkt_residual']:.1e}"
        )
    if "says" in facts:
        _say_sure(facts, mixture.weights)
    say(f"effective sources {facts['effective_sources']:.2f}")
    if facts["binding"]:
        say(f"at their cap: {', '.join(facts['binding'])}")


def _say_sure(facts: Mapping[str, Any], weights: Mapping[str, float]) -> None:
    """What the default method tells: the gain over UniMax, from what, and what to learn next."""
    from tasks.mixture.returns.choosing import LEAST_WORTH, MOST_OF_USELESS

    say("; from ".join([facts["says"], *facts["evidence"]]))
    if facts["useless"]:
        more = {name: weights[name] for name in facts["useless"] if weights[name] > MOST_OF_USELESS + 1e-9}
        told = [f"{name} ({more[name]:.1%})" if name in more else name for name in facts["useless"]]
        why = (
            "; more than 1% as the caps of the others leave no other choice; a smaller budget would need none"
            if more
            else ""
        )
        say(f"of no use to any task: {', '.join(told)}{why}")
    worth = [row for row in facts["ask_next"] if row["worth"] >= LEAST_WORTH]
    if worth:
        told = [f"{row['source']} ({row['worth']:.2%})" for row in worth]
        say(f"worth most to know better, by what it may still lower the loss: {', '.join(told)}")
    if facts["gain"] is not None:
        share = facts["worst_share"]
        of = "all" if share == 1 else f"the worst {share:.0%} of"
        say(
            f"certificate: in {of} {facts['draws']} draws no mixture gains more by {facts['gap']:.1e}, on average"
        )


def print_path(told: dict[str, Any]) -> None:
    """One row a cap and budget."""
    points = told["points"]
    sources = list(next((point["weights"] for point in points if "weights" in point), {}))
    table = Table(title="weights of UtiliMax, %; * at its cap")
    for name in ("cap", "budget", "objective", *sources):
        table.add_column(name, justify="right", overflow="fold")
    for point in points:
        place = (cap_text(point), f"{point['budget']:,}")
        if "infeasible" in point:
            table.add_row(*place, "–", *["–"] * len(sources))
            continue
        cells = [
            f"{100 * point['weights'][name]:.1f}{'*' if name in point['binding'] else ''}" for name in sources
        ]
        table.add_row(*place, f"{point['objective']:.5g}", *cells)
    show(table)
    for point in points:
        if "infeasible" in point:
            say(f"cap {cap_text(point)}, {point['budget']:,} tokens: {point['infeasible']}")
    say_written(told.get("written", []))


def cap_text(point: dict[str, Any]) -> str:
    return "none" if point["epoch_cap"] is None else f"{point['epoch_cap']:g}"


def print_efficiency(told: dict[str, Any]) -> None:
    """Mean and range over the subsets, methods by number of runs."""
    counts = told["counts"]
    table = Table(title=f"Spearman of the mean loss on {told['held_out']} held-out runs, by runs fitted to")
    table.add_column("method", no_wrap=True)
    for count in counts:
        table.add_column(str(count), justify="right")
    cells = {(point["method"], point["runs"]): point for point in told["points"]}
    for method in dict.fromkeys(point["method"] for point in told["points"]):
        found = [cells.get((method, count)) for count in counts]
        table.add_row(
            method,
            *("–" if p is None else f"{p['mean']:.3f} ({p['low']:.2f}-{p['high']:.2f})" for p in found),
        )
    show(table)
    say(told["words"])
    say_written(told.get("written", []))
