"""A shipped recipe as Prefect's page starts it: a form of a few dials, and a list of overrides for everything else."""

from __future__ import annotations

from prefect import flow

from flows.allowed import check_what_started
from flows.experiment import experiment_flow
from flows.recipes import load_recipe, shipped_recipes


@flow(name="recipe", flow_run_name="{recipe}", persist_result=False)
def recipe_flow(
    recipe: str,
    tokens: str = "",
    random_seed: int | None = None,
    text: str = "",
    benchmarks: str = "",
    overrides: list[str] = [],  # noqa: B006 Prefect shows it as the form's default
) -> str:
    """Run a recipe with these dials; what is left empty stays as the recipe has it.

    Args:
        recipe: One of the recipes that come with the project.
        tokens: Tokens to train on in all, such as 750000 or 100B.
        random_seed: Of data order and weights.
        text: Folder of text, a source a file, beside or in place of the recipe's.
        benchmarks: Folder of benchmark files.
        overrides: Further settings, each as NAME=VALUE, such as mixture.epoch_cap=2.
    """  # Prefect shows these in the form
    if recipe not in shipped_recipes():  # a path would read any file that the process may
        raise ValueError(f"recipe={recipe}: no such recipe; allowed: {', '.join(shipped_recipes())}")
    dials = {
        "budget.tokens": tokens,
        "random_seed": random_seed,
        "sources.folder": text,
        "evaluation.folder": benchmarks,
    }
    given = [f"{name}={value}" for name, value in dials.items() if value not in ("", None)]
    experiment = load_recipe(recipe, [*given, *overrides])
    check_what_started(experiment)
    return experiment_flow(experiment)
