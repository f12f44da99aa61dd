"""What the commands about runs print: tables for people, JSON for programs."""

from __future__ import annotations

import time
from typing import Any

from rich.table import Table

from flows.commands.console import print_json, say, show, show_rows
from storage.planned import grouped, totals
from storage.run_records import STOPPED
from storage.runs import RunSummary
from tasks.duels.efficiency.efficiency_page import band
from tasks.duels.mixtures.settings import MEASURES
from tasks.duels.stitches.settings import AVERAGE
from tasks.evaluation.metrics import best_models, headline
from tasks.evaluation.snapshot_names import without_snapshots
from tasks.report.formatting import with_error, with_interval

NO_RATING = "no human rating for"
GROUPED_FROM = 16  # results of a stage that a plan lists one by one


def print_summary(summary: RunSummary) -> None:
    """The answer in sentences, the headline table, what the models write, the forecast, and where the report is."""
    for sentence in summary.answer:
        say(sentence)
    models = without_snapshots(score["model"] for score in summary.scores)
    if summary.stitch_duel:
        show(stitch_duel_table(summary.name, summary.stitch_duel))
    elif summary.duel:
        for regime in dict.fromkeys(row["regime"] for row in summary.duel):
            show(duel_table(summary.name, regime, summary.duel))
    elif summary.efficiency:
        show(efficiency_table(summary.name, summary.efficiency))
    elif models:
        table = Table(
            title=f"{summary.name}: scores ± standard error (best in bold; bits per byte: lower is better)"
        )
        table.add_column("task", overflow="fold")
        table.add_column("metric", no_wrap=True)
        for model in models:
            table.add_column(model, justify="right", overflow="fold")
        shown = [score for score in summary.scores if score["model"] in models]
        for (task, metric), by_model in headline(shown).items():
            best = best_models(by_model, metric)
            table.add_row(task, metric, *(_cell(by_model.get(model), model in best) for model in models))
        show(table)
    forecasts = forecast_lines(summary.forecast)
    if summary.answer:  # which says why there is none
        forecasts = [line for line in forecasts if not line.startswith(NO_RATING)]
    for line in [*sample_lines(summary.samples), *forecasts]:
        say(line)
    hits = sum(stage["cache_hit"] for stage in summary.stages)
    took = "" if summary.seconds is None else f" in {summary.seconds:,.0f} s"
    print(
        f"run    {summary.run_id}: {summary.status}{took}, {hits} of {len(summary.stages)} stages from the store"
    )
    if summary.status == STOPPED:
        last = summary.stages[-1]
        print(f"{last['name']}: {last['headline']}\nfiles  {last['folder']}")
    if not summary.duel and not summary.stitch_duel and not summary.efficiency:
        for row in summary.models:
            print(f"model  {row['model']}: {row['folder']}")
    if summary.error:
        print(f"error  {summary.error}")
    if summary.report:
        print(f"report {summary.report}")


def duel_table(name: str, regime: str, rows: list[dict]) -> Table:
    """The contenders of a regime at the largest budget, with the intervals over seeds."""
    tokens = max(row["tokens"] for row in rows)
    shown = [row for row in rows if row["regime"] == regime and row["tokens"] == tokens]
    measures = list(dict.fromkeys(row["measure"] for row in shown))
    table = Table(
        title=f"{name}, {regime}, {tokens:,} tokens: mean over {shown[0]['seeds']} seeds [95% interval]"
    )
    table.add_column("contender")
    for measure in measures:
        table.add_column(MEASURES[measure], justify="right")
    for contender in dict.fromkeys(row["contender"] for row in shown):
        table.add_row(contender, *(with_interval(row) for row in shown if row["contender"] == contender))
    return table


def stitch_duel_table(name: str, rows: list[dict]) -> Table:
    """Every model's measures with the intervals over seeds, best average first."""
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    cells = {(row["model"], row["measure"]): with_interval(row) for row in rows}
    average = {row["model"]: row["mean"] for row in rows if row["measure"] == AVERAGE}
    title = f"{name}: mean over seeds [95% interval]; bits per byte, but for accuracy and shares kept"
    table = Table(title=title)
    table.add_column("model")
    for measure in measures:
        table.add_column(measure, justify="right")
    for model in sorted(average, key=lambda model: average[model]):
        table.add_row(model, *(cells.get((model, measure), "–") for measure in measures))
    return table


def efficiency_table(name: str, rows: list[dict]) -> Table:
    """Speed-up of the mixture of experts over the dense model, measure by measure and level by level."""
    table = Table(title=f"{name}: compute of the dense model over that of the mixture, at levels both reach")
    for column in ("kind", "measure", "metric", "level", "speed-up [95% band over seeds]"):
        table.add_column(column, justify="right" if column == "level" else "left", overflow="fold")
    for row in rows:
        told = row["why"] if row["speedup"] is None else band(row)
        level = "–" if row["level"] is None else f"{row['level']:.3f}"
        table.add_row(row["kind"], row["measure"], row["metric"], level, told)
    return table


def sample_lines(samples: list[dict]) -> list[str]:
    """A prompt a source, and below it what each model goes on with."""
    lines = []
    for source in dict.fromkeys(row["source"] for row in samples):
        own = [row for row in samples if row["source"] == source]
        width = max(len(row["model"]) for row in own)
        lines.append(f"{source}, continued: {_on_one_line(own[0]['prompt'])} ...")
        lines += [f"  {row['model']:{width}}  {_on_one_line(row['text'])}" for row in own]
    return lines


def _on_one_line(text: str) -> str:
    return " ".join(text.split()) or "(blanks alone)"


def forecast_lines(forecast: list[dict]) -> list[str]:
    """One line a model's forecast of the first category, how many more there are, and who has none for want of what.

    Snapshots are counted, not listed, unless there are only these.
    """
    told = without_snapshots(row["model"] for row in forecast)
    snapshots = {row["model"] for row in forecast if row["rating"] is not None}.difference(told)
    listed = [row for row in forecast if row["model"] in told]
    rated = [row for row in listed if row["rating"] is not None]
    targets = list(dict.fromkeys(row["target"] for row in rated))
    lines = []
    for row in rated:
        if row["target"] == targets[0]:
            beyond = " (beyond the public models: extrapolates)" if row["extrapolates"] else ""
            ends = ", ".join(
                "unbounded" if row[end] is None else f"{row[end]:.3f}" for end in ("low", "high")
            )
            lines.append(f"{row['target']} of {row['model']}: {row['rating']:.3f} [{ends}]{beyond}")
    if len(targets) > 1:
        lines.append(f"further categories in the report: {len(targets) - 1}")
    if snapshots:
        lines.append(f"snapshots forecast as well: {len(snapshots)}")
    lacking: dict[str, list[str]] = {}
    for row in listed:
        if row["rating"] is None:
            lacking.setdefault(", ".join(row["missing"]), []).append(row["model"])
    return lines + [
        f"{NO_RATING} {', '.join(models)}: lacks {missing}" for missing, models in lacking.items()
    ]


def _cell(score: dict | None, is_best: bool) -> str:
    if score is None:
        return "-"
    text = f"{score['value']:.3f}"
    if score["stderr"] is not None:
        text += f" ± {score['stderr']:.3f}"
    return f"[bold]{text}[/bold]" if is_best else text


def print_runs(records: list[dict], as_json: bool) -> None:
    rows = [
        {
            "run_id": record["run_id"],
            "name": record["name"],
            "status": record["status"],
            "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["started"])),
            "seconds": None if record["ended"] is None else round(record["ended"] - record["started"], 1),
            "stages": len(record["stages"]),
        }
        for record in records
    ]
    print_json(rows) if as_json else show_rows("runs", rows)


def print_comparison(compared: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(compared)
        return
    print(f"first  {compared['first']}\nsecond {compared['second']}")
    for sentence in compared["summary"]:
        say(sentence)
    show_rows("settings that differ", compared["settings"])
    show_rows(
        "scores",
        [
            {
                **{name: row[name] for name in ("model", "task", "metric", "first", "second")},
                "second - first": with_error(row["difference"], row["stderr"]),
                **{name: row[name] for name in ("paired", "n", "beyond_chance")},
            }
            for row in compared["scores"]
            if row["beyond_chance"] is not None
        ],
    )
    show_rows("weights", compared["weights"])


def print_plan(planned: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(planned)
        return
    rows = grouped(planned["stages"], GROUPED_FROM)
    everything = {"stage": "in all", "name": "what is not there yet", "cached": "", "memory_gb": ""}
    show_rows(f"plan of {planned['name']}", [*map(_without_zeros, rows), rows[0] | everything | totals(rows)])
    print(
        "Figures are estimates or upper bounds, except where a stage is there; ? is not known before it runs."
    )
    for line in planned["notes"]:
        print(line)


def _without_zeros(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: "?" if value is None else value for name, value in row.items()}
    return {
        name: "" if value == 0 and not isinstance(value, bool) else value for name, value in shown.items()
    }
