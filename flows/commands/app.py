"""The command line `mixstitch`."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from typing import Annotated

import typer

from flows.commands.console import print_json, readers_heard
from flows.commands.doctor import SiteFile, doctor
from flows.commands.evaluate import evaluate
from flows.commands.gates import gates
from flows.commands.instruct import instruct_app
from flows.commands.languages import languages_app
from flows.commands.mix import mix_app
from flows.commands.preference import preference_app
from flows.commands.rate import rate_app
from flows.commands.stitch import stitch
from flows.commands.take_away import export
from flows.commands.utility import utility_app
from flows.ending import end_by_signals
from flows.environment import open_home
from storage.site import use_site

BAD_INPUT = 2
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(evaluate)
app.command()(doctor)
app.command()(gates)
app.command()(stitch)
app.command()(export)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"mixstitch {importlib.metadata.version('mixstitch')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What to train on, how to combine the specialists, and what people will think of the result."""


Recipe = Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", help="A setting and its value, a.b=c; may be given several times."),
]
RunName = Annotated[str, typer.Argument(help="A run's id, the beginning of one, or `latest`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    recipe: Recipe,
    override: Overrides = None,
    until: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Stop after this stage, and say what came of it.")
    ] = None,
    site: SiteFile = None,
) -> None:
    """Run an experiment; stages that are done already are skipped."""
    use_site(site)
    from flows.recipes import load_recipe

    experiment = load_recipe(recipe, override or [])
    from flows.commands.printing import print_summary
    from flows.experiment import run_experiment

    print_summary(run_experiment(experiment, until).summary)


@app.command()
def plan(recipe: Recipe, override: Overrides = None, json: AsJson = False, site: SiteFile = None) -> None:
    """Say what a run would do and cost, before anything is spent."""
    use_site(site, writes=False)
    from flows.commands.printing import print_plan
    from flows.planning import plan_experiment
    from flows.recipes import load_recipe

    print_plan(plan_experiment(load_recipe(recipe, override or [])), json)


@app.command()
def runs(json: AsJson = False) -> None:
    """List the runs of this home."""
    from flows.commands.printing import print_runs
    from storage.run_records import read_records

    print_runs(read_records(open_home()), json)


@app.command()
def show(run: RunName = "latest", json: AsJson = False) -> None:
    """Show what came of a run."""
    from flows.commands.printing import print_summary
    from storage.run_records import find_record
    from storage.runs import summarise

    home = open_home()
    summary = summarise(home, find_record(home, run))
    print_json(summary.to_dict()) if json else print_summary(summary)


@app.command()
def report(
    run: RunName = "latest",
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser too.")] = False,
) -> None:
    """Print the path of a run's report."""
    from storage.run_records import find_record
    from storage.runs import summarise

    home = open_home()
    summary = summarise(home, find_record(home, run))
    if summary.report is None:
        raise ValueError(f"RUN={run}: {summary.run_id} has no report (status: {summary.status})")
    print(summary.report)
    if open_:
        typer.launch(summary.report)


@app.command()
def compare(first: RunName, second: RunName, json: AsJson = False) -> None:
    """Compare two runs: how far their scores differ, paired over the items of both, and what was asked differently."""
    from flows.commands.printing import print_comparison
    from storage.run_records import find_record
    from tasks.report.run_comparison import compare_runs

    home = open_home()
    print_comparison(compare_runs(home, find_record(home, first), find_record(home, second)), json)


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    keep: Annotated[int, typer.Option(min=0, help="Latest completed runs whose results stay.")] = 1,
) -> None:
    """Free the space of results that only older or failed runs need; asks first."""
    from storage.cleaning import find_garbage, not_ours, remove
    from storage.run_records import runs_in_progress

    home = open_home()
    at_work = ", ".join(record["run_id"] for record in runs_in_progress(home))
    if at_work:
        print(f"nothing can be removed before {at_work} has ended: what it will use is not known yet")
        return
    garbage = find_garbage(home, keep)
    for item in garbage:
        print(f"{item.bytes / 1e6:10.1f} MB  {item.path}  ({item.why})")
    for path in not_ours(home):
        print(f"{'':13} {path}  (not made by mixstitch, or damaged: it stays)")
    total = sum(item.bytes for item in garbage) / 1e6
    print(f"{total:10.1f} MB  in all, of {len(garbage)} folders")
    if garbage and (yes or typer.confirm("Remove them?")):
        freed = remove(home, garbage) / 1e6
        print(f"{freed:.1f} MB freed" + ("" if freed == total else "; the rest is in use by now"))


@app.command()
def recipes() -> None:
    """List the recipes that come with the project."""
    from flows.recipes import shipped_recipes

    for name, path in shipped_recipes().items():
        first = path.read_text(encoding="utf-8").splitlines()[0]
        print(f"{name:14} {first.removeprefix('# ')}\n{'':14} {path}")


catalog_app = typer.Typer(no_args_is_help=True, help="The DuckDB catalog of facts.")
app.add_typer(catalog_app, name="catalog")
app.add_typer(instruct_app, name="instruct")
app.add_typer(languages_app, name="languages")
app.add_typer(mix_app, name="mix")
app.add_typer(preference_app, name="preference")
app.add_typer(rate_app, name="rate")
app.add_typer(utility_app, name="utility")


@catalog_app.command("rebuild")
def rebuild_catalog(site: SiteFile = None) -> None:
    """Write the catalog anew from manifests, a site's too, and run records; exit status 1 where one cannot be read."""
    use_site(site, writes=False)
    from storage.artifacts import ArtifactStore
    from storage.catalog import Catalog
    from storage.run_records import read_records

    home = open_home()
    store = ArtifactStore(home)
    counts = Catalog(home).rebuild(lambda: read_records(home), store.all_manifests)
    print(f"{home.catalog}: {counts['runs']} runs, {counts['artifacts']} artifacts")
    unreadable = store.unreadable_manifests()
    for path in unreadable:
        print(f"{path}: cannot be read, its facts are not in the catalog", file=sys.stderr)
    if unreadable:
        raise typer.Exit(1)


def main() -> None:
    """Exit status 0: done; 2: something in the input is wrong, said in one message; 128 + n: ended by signal n;
    1: anything else."""
    end_by_signals()
    try:
        with readers_heard():
            app()
    except ValueError as error:
        if os.environ.get("MIXSTITCH_TRACEBACK"):  # for who suspects a fault of ours
            raise
        print(f"mixstitch: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except Exception as error:
        from storage.home import Home
        from storage.writing import told_refusal

        told = told_refusal(error, Home.of_environment())
        if told is None or os.environ.get("MIXSTITCH_TRACEBACK"):
            raise
        print(f"mixstitch: {told}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
