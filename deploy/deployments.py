"""The process that carries out what is started from the Prefect page: all deployments, served.

    python -m deploy.deployments        (started by deploy.serve, which names home and server in the environment)

Every flow run is a process of its own, with this one's environment. Each shipped recipe has a small form; that of
`experiment` has every setting, and shows the recipe `pocket` until it is changed; what a user sets for `retraining` is
kept.
"""

from __future__ import annotations

import signal
from typing import Any

from prefect import get_client, serve
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows.experiment import experiment_flow
from flows.recipe_form import recipe_flow
from flows.recipes import load_recipe, shipped_recipes
from flows.retraining import retraining_flow
from flows.settings import Experiment

RECIPE = "pocket"
DAILY, TIMEZONE = "0 4 * * *", "UTC"
POLL_SECONDS = 2.0  # how long a run that was just asked for waits at most


def recipe_deployments() -> list[RunnerDeployment]:
    """Each recipe by its name, with a form of its dials."""
    return [
        recipe_flow.to_deployment(  # type: ignore[misc]
            name, parameters={"recipe": name}, entrypoint_type=EntrypointType.MODULE_PATH
        )
        for name in shipped_recipes()
    ]


def experiment_deployment() -> RunnerDeployment:
    """Runs what is in the form."""
    return experiment_flow.to_deployment(  # type: ignore[return-value]
        "experiment",
        parameters={"experiment": load_recipe(RECIPE).to_json()},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def retraining_deployment() -> RunnerDeployment:
    """Looks every day, once its schedule is switched on, whether its experiment should be trained again."""
    return retraining_flow.to_deployment(  # type: ignore[return-value]
        "retraining",
        parameters={"experiment": load_recipe(RECIPE).to_json()},
        schedule=Cron(DAILY, timezone=TIMEZONE, active=False),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def keep_what_was_set(deployment: RunnerDeployment, also_parameters: bool = False) -> None:
    """Take over the schedules that the server has for this deployment, so that one which a user switched on,
    changed or added stays so; and its default parameters too, where they are still an experiment."""
    with get_client(sync_client=True) as client:
        try:
            known = client.read_deployment_by_name(deployment.full_name)
        except ObjectNotFound:
            return
    fields = set(DeploymentScheduleCreate.model_fields)
    deployment.schedules = [
        DeploymentScheduleCreate.model_validate(schedule.model_dump(include=fields))
        for schedule in known.schedules
    ]
    if also_parameters and _is_experiment(known.parameters.get("experiment")):
        deployment.parameters = known.parameters


def _is_experiment(parameter: Any) -> bool:
    try:
        Experiment.model_validate(parameter)
    except ValidationError:
        return False
    return True


def main() -> None:
    # A shell starts background jobs with SIGINT ignored; it is how this process is told to end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    *others, retraining = *recipe_deployments(), experiment_deployment(), retraining_deployment()
    for deployment in others:
        keep_what_was_set(deployment)
    keep_what_was_set(retraining, also_parameters=True)
    serve(
        *others,
        retraining,
        pause_on_shutdown=False,
        print_starting_message=False,
        query_seconds=POLL_SECONDS,
    )


if __name__ == "__main__":
    main()
