"""The files of deploy/ that describe a site: read by what reads them, and one with another."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from flows.engines import engine_settings
from storage.site import read_site

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SITES = sorted((DEPLOY / "sites").glob("*.yaml"))


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.name)
def test_each_site_is_one(path):
    site = read_site(path)
    settings = engine_settings(site)
    assert settings is not None and settings.kind == "dask"


def hosts_of(site: str) -> dict[str, int]:
    """Host -> port of every server that a site names, but for the bucket of Kubernetes, which is the user's own."""
    read = read_site(DEPLOY / "sites" / site)
    settings = engine_settings(read)
    assert settings is not None
    urls = [read.endpoint, read.mlflow, read.prefect_api, settings.address]
    places = [url.split("://")[1].split("/")[0].split(":") for url in urls if url]
    return {host: int(port) for host, port in places}


def test_compose_has_the_servers_that_its_site_names_and_publishes_pages_on_loopback_alone():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert hosts_of("site.compose.yaml").keys() <= services.keys()
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published and all(port.startswith("127.0.0.1:") for port in published)
    for service in services.values():
        assert set(service.get("depends_on", [])) <= services.keys()


def test_kubernetes_has_the_services_that_its_site_names_each_with_pods():
    parts = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    pods = {
        part["spec"]["template"]["metadata"]["labels"]["app"]: part["spec"]["template"]["spec"]
        for part in parts
        if part["kind"] == "Deployment"
    }
    services = {part["metadata"]["name"]: part["spec"] for part in parts if part["kind"] == "Service"}
    for host, port in hosts_of("site.k8s.yaml").items():
        assert services[host]["ports"] == [{"port": port}]
    for service in services.values():
        (container,) = pods[service["selector"]["app"]]["containers"]
        assert container["ports"] == [{"containerPort": service["ports"][0]["port"]}]
    assert not [service for service in services.values() if "type" in service]  # of the cluster alone


def test_the_image_is_built_with_extras_that_there_are():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    extras = compose["x-mixstitch"]["build"]["args"]["EXTRAS"].strip("[]").split(",")
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert set(extras) <= project["optional-dependencies"].keys()
    assert "ARG EXTRAS" in (DEPLOY / "Dockerfile").read_text()
