"""The files for deployments elsewhere name what exists, and start nothing by themselves."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.server.schemas.schedules import CronSchedule
from prefect.utilities.importtools import import_object

import flows.recipe_form
from deploy.deployments import TIMEZONE, experiment_deployment, recipe_deployments, retraining_deployment
from deploy.serve import DEPLOYMENTS
from flows.recipe_form import recipe_flow
from flows.recipes import load_recipe, shipped_recipes

ROOT = Path(__file__).resolve().parents[2]


def prefect_file() -> dict:
    return yaml.safe_load((ROOT / "deploy/prefect.yaml").read_text(encoding="utf-8"))


def test_prefect_file_names_the_flows_that_make_ui_serves():
    named = {d["name"]: import_object(d["entrypoint"]) for d in prefect_file()["deployments"]}
    assert all(isinstance(flow, Flow) for flow in named.values())
    assert tuple(f"{flow.name}/{name}" for name, flow in named.items()) == DEPLOYMENTS


def test_prefect_file_uses_a_work_pool_and_schedules_nothing_until_switched_on():
    deployments = prefect_file()["deployments"]
    assert all(d["work_pool"]["name"] == "mixstitch" for d in deployments)
    schedules = [schedule for d in deployments for schedule in d.get("schedules", [])]
    assert [schedule["active"] for schedule in schedules] == [False]


def test_served_deployments_start_from_the_pocket_recipe():
    served = (experiment_deployment(), retraining_deployment())
    assert {f"{d.flow_name}/{d.name}" for d in (*served, *recipe_deployments())} >= set(DEPLOYMENTS)
    assert all(d.parameters["experiment"] == load_recipe("pocket").to_json() for d in served)


def test_served_schedule_is_the_one_of_the_file_and_off():
    (schedule,) = retraining_deployment().schedules
    (written,) = prefect_file()["deployments"][-1]["schedules"]
    assert schedule.active is False
    assert (schedule.schedule.cron, schedule.schedule.timezone) == (written["cron"], written["timezone"])


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("time_of_day", ["0 4", "30 2", "30 1"])
@pytest.mark.parametrize("change", ["2027-03-14", "2027-03-28", "2027-10-31", "2027-11-07"])
def test_on_the_days_of_a_change_of_clocks_a_daily_schedule_runs_once(zone, time_of_day, change):
    """Asked as Prefect's scheduler does: again and again, from ever later moments."""
    schedule = CronSchedule(cron=f"{time_of_day} * * *", timezone=zone or TIMEZONE)
    begin = datetime.fromisoformat(f"{change}T12:00Z") - timedelta(days=2)
    asked = [begin + timedelta(hours=hour) for hour in range(0, 96, 3)]
    runs = {run for moment in asked for run in schedule._get_dates_generator(n=2, start=moment)}
    days = Counter(run.astimezone(ZoneInfo(zone or TIMEZONE)).date() for run in runs)
    assert set(days.values()) == {1}
    assert {(begin + timedelta(days=day)).date() for day in range(1, 4)} <= set(days)


def test_the_form_asks_for_nothing_and_keeps_the_order_of_the_settings():
    schema = experiment_deployment()._parameter_openapi_schema.model_dump()
    assert schema.get("required", []) == []
    experiment = schema["definitions"]["Experiment"]
    assert "required" not in experiment
    positions = [field["position"] for field in experiment["properties"].values()]
    assert positions == sorted(positions)
    assert next(iter(experiment["properties"])) == "name"


def test_every_recipe_has_a_small_form_of_its_own():
    deployed = recipe_deployments()
    assert [d.name for d in deployed] == list(shipped_recipes())
    assert all(d.parameters == {"recipe": d.name} for d in deployed)
    schema = deployed[0]._parameter_openapi_schema.model_dump()
    assert list(schema["properties"]) == [
        "recipe",
        "tokens",
        "random_seed",
        "text",
        "benchmarks",
        "overrides",
    ]
    assert schema["required"] == ["recipe"]
    assert schema["properties"]["overrides"]["default"] == []


@pytest.mark.parametrize("recipe", ["/etc/passwd", "../secret", "flows/recipes/pocket.yaml"])
def test_the_form_reads_no_other_file_as_a_recipe(recipe):
    with pytest.raises(
        ValueError, match=f"recipe={recipe}: no such recipe; allowed: chat-pocket, chat, gpu-300m"
    ):
        recipe_flow.fn(recipe)


def test_the_dials_of_the_form_are_settings_of_the_recipe(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(flows.recipe_form, "experiment_flow", seen.append)
    recipe_flow.fn(
        "pocket", tokens="2M", random_seed=3, text=str(tmp_path), overrides=["mixture.epoch_cap=2"]
    )
    (experiment,) = seen
    assert (experiment.budget.tokens, experiment.random_seed) == (2_000_000, 3)
    assert (experiment.sources.folder, experiment.mixture.epoch_cap) == (tmp_path, 2)
    recipe_flow.fn("pocket")
    assert seen[1] == load_recipe("pocket")


def test_image_runs_as_a_user_without_rights_and_keeps_its_state_in_a_volume():
    lines = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    last_user = [parts[1] for parts in words if parts[0] == "USER"][-1]
    home = next(parts[1] for parts in words if parts[0] == "ENV").removeprefix("MIXSTITCH_HOME=")
    assert last_user == "mixstitch"
    assert ["VOLUME", home] in words
    for parts in words:
        if parts[0] == "COPY":
            assert all((ROOT / source).exists() or source == "README.md" for source in parts[1:-1])


def test_installed_fastapi_reads_null_as_the_default_which_prefect_clients_rely_on():
    """From FastAPI 0.151 on it does not: `prefect deploy` and others end with 422 from Prefect 3.8's server."""
    from fastapi import Body, FastAPI
    from fastapi.testclient import TestClient

    server = FastAPI()

    @server.post("/filter")
    def filter_with(limit: int = Body(200), offset: int = Body(0)) -> list[int]:
        return [limit, offset]

    assert TestClient(server).post("/filter", json={"limit": None, "offset": 3}).json() == [200, 3]
