"""The process that carries out what is started from the Prefect page: both deployments, served.

    python -m deploy.deployments        (started by deploy.serve, which names home and server in the environment)

Every flow run is a process of its own, with this one's environment. A run whose settings are changed in the
form starts from the recipe `pocket`.
"""

from __future__ import annotations

import signal

from prefect import get_client, serve
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from flows.experiment import experiment_flow
from flows.recipes import load_recipe
from flows.retraining import retraining_flow

RECIPE = "pocket"
DAILY = "0 4 * * *"  # UTC
POLL_SECONDS = 2.0  # how long a run that was just asked for waits at most
NAMES = ("experiment/experiment", "retraining/retraining")


def experiment_deployment() -> RunnerDeployment:
    """Runs the experiment in the form, which shows the recipe `pocket` until it is changed."""
    return experiment_flow.to_deployment(  # type: ignore[return-value]
        "experiment",
        parameters={"experiment": load_recipe(RECIPE).to_json()},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def retraining_deployment() -> RunnerDeployment:
    """Looks at the sources every day, once its schedule is switched on."""
    return retraining_flow.to_deployment(  # type: ignore[return-value]
        "retraining",
        parameters={"experiment": load_recipe(RECIPE).to_json()},
        schedule=Cron(DAILY, active=False),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def keep_schedule(deployment: RunnerDeployment) -> None:
    """Leave the schedule that the server has, so that one which a user switched on or changed stays so."""
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(deployment.full_name)
        except ObjectNotFound:
            return
    deployment.schedules = None


def main() -> None:
    # A shell starts background jobs with SIGINT ignored; it is how this process is told to end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    retraining = retraining_deployment()
    keep_schedule(retraining)
    serve(
        experiment_deployment(),
        retraining,
        pause_on_shutdown=False,
        print_starting_message=False,
        query_seconds=POLL_SECONDS,
    )


if __name__ == "__main__":
    main()
