"""What tests of several folders share: homes of their own, and shared data where it is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from hypothesis import settings

from flows.environment import have_prefect_database
from storage.home import Home
from storage.processes import end_all

# The same examples in every run, on every machine, however slow it is.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")
SECONDS_TO_END = 5.0
MOST_WORKERS = 4
ROOT = Path(__file__).resolve().parent.parent
# What starts processes and servers comes first, so that no worker is left with it alone at the end.
LONG = (
    "tests/flows/test_experiment_flow.py",
    "tests/flows",
    "tests/deploy",
    "tests/tasks/duels",
    "tests/storage",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test named for raw bytes may have another name in the next process: compressed ones hold the time of day."""
    raw = [item.nodeid for item in items if "\\x1f\\x8b" in item.nodeid]
    if raw:
        raise pytest.UsageError(f"tests are named for compressed bytes; give them ids: {raw[0]}")
    items.sort(
        key=lambda item: next((i for i, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG))
    )
    for marker in ("torture", "cluster"):
        if marker not in config.getoption("markexpr"):
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=f"takes minutes: ask for it by -m {marker}"))


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: much of the time is spent waiting for servers to come up and to end."""
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)) + 1)


def pytest_sessionfinish() -> None:
    """A worker of pytest-xdist ends without what was to be done at exit: Prefect's servers would go on for ever."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        end_all(psutil.Process().children(recursive=True), SECONDS_TO_END)


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Home:
    """A home whose databases have been through their migrations: twenty seconds, once for all workers."""
    from storage.tracking import Tracker

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    home = Home(shared / "template")
    with FileLock(shared / "template.lock"):
        if not home.root.exists():
            begun = Home(own / "begun")
            begun.locks.mkdir(parents=True)
            Tracker(begun).connect()
            have_prefect_database(begun)
            begun.root.rename(home.root)
    return home


@pytest.fixture(scope="session")
def furnish(template) -> Callable[[Path], Home]:
    """Makes a folder an empty home that has its databases already."""

    def furnished(folder: Path) -> Home:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MIXSTITCH_HOME", str(folder))
            home = Home.from_environment()
        home.prefect.mkdir(exist_ok=True)
        for made, place in (
            (template.mlflow_database, home.mlflow_database),
            (template.prefect_database, home.prefect_database),
        ):
            shutil.copy(made, place)
            place.chmod(0o600)
        return home

    return furnished


@pytest.fixture
def home(tmp_path, monkeypatch, furnish) -> Home:
    """An empty home, named by the environment."""
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    return furnish(tmp_path / "home")


@pytest.fixture
def shared_data() -> Path:
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder
