"""Prefect, MLflow and torch set up for one home: local, private, quiet.

Import this before any of them. A server that `make ui` keeps running is used; otherwise one is started for the time
of the run, on the same database.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.ending import ending_with
from storage.databases import have_whole, lock_of, newest_revision
from storage.earlier_homes import seal_earlier
from storage.home import Home
from storage.processes import end_orphans, is_alive, marking_children
from storage.site import named_site
from storage.trusted import what_is_trusted
from storage.writing import writing

PREFECT_MIGRATIONS = ("prefect", "server/database/_migrations/versions/sqlite")
PREFECT_MIGRATES = ("-m", "prefect", "server", "database", "upgrade", "-y")
PREFECT_TOKEN = "PREFECT_API_AUTH_STRING"
ANSWER_SECONDS = 10.0
FIXED = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # two runs in one home write to one file
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mixstitch",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # ours also speak outside of flows
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "TRANSFORMERS_VERBOSITY": "error",
    "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep: a busy machine slows training far less
}
PREFECT_LINES = {  # of Prefect's own lines only warnings, without the name of the task; its pages show all
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": "%(message)s",
    "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": "%(message)s",
}


def prepare_environment() -> None:
    """Set what the libraries read when they are imported; what the user has set stays.

    With MIXSTITCH_TRACEBACK set Prefect says all it has to say.
    """
    quiet = {} if os.environ.get("MIXSTITCH_TRACEBACK") else PREFECT_LINES
    for name, value in (FIXED | quiet).items():
        os.environ.setdefault(name, value)


def open_home() -> Home:
    """The home that the environment names, after ending what processes of it that were killed have left behind."""
    home = Home.from_environment()
    with writing(home, "the home of an earlier version"):
        seal_earlier(home)
    end_orphans(home)
    return home


@contextmanager
def prefect_settings(home: Home, meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Prefect with its database in this home and the home's server where one runs, or one of this process.

    meanwhile: done while that one comes up.
    """
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_DATABASE_CONNECTION_URL,
        PREFECT_API_URL,
        PREFECT_HOME,
        temporary_settings,
    )

    from flows.newest_runs import forget_older
    from flows.temporary_server import server_of

    database = {PREFECT_HOME: home.prefect, PREFECT_API_DATABASE_CONNECTION_URL: prefect_database(home)}
    with marking_children(home), temporary_settings(updates=database, restore_defaults={PREFECT_API_URL}):
        served, site, is_temporary = pages_of(home), named_site(None), False
        if site is not None and site.prefect_api is not None:
            check_prefect(site.prefect_api)
            meanwhile()
            url, auth_string = site.prefect_api, os.environ.get(PREFECT_TOKEN)
            is_gone, what = lambda: False, "the site's Prefect server"
        elif served is not None:
            url, auth_string, is_gone = (
                served["prefect_api"],
                served["prefect_auth"],
                lambda: not is_alive(served),
            )
            what = "`make ui`"
        else:
            server, is_temporary = server_of(home), True
            with ThreadPoolExecutor(1) as beside:
                done = beside.submit(meanwhile)
                have_prefect_database(home)
                server.start()
                done.result()
            url, auth_string, is_gone, what = (
                server.url,
                server.auth_string,
                server.is_gone,
                "Prefect's server",
            )
        updates = {PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: auth_string}
        with temporary_settings(updates=updates), ending_with(is_gone, what):
            if is_temporary:
                forget_older()
            yield


def check_prefect(api: str) -> None:
    """Raises ValueError where no Prefect server answers at the URL of an API, or one of another version, or where its
    host may not have the token of the environment."""
    import httpx
    import prefect

    if os.environ.get(PREFECT_TOKEN):
        what_is_trusted().check_key(PREFECT_TOKEN, api, f"site: prefect_api={api}")

    try:
        with httpx.Client(timeout=ANSWER_SECONDS) as client:
            client.get(f"{api}/health").raise_for_status()
            answer = client.get(f"{api}/admin/version", auth=_prefect_auth())
            theirs = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise ValueError(
            f"site: prefect_api={api}: no Prefect server answers there ({error}); allowed: the URL of a running one's "
            "API, or none for a server of each run's own"
        ) from error
    if theirs != prefect.__version__:
        raise ValueError(
            f"site: prefect_api={api}: Prefect {theirs} there, {prefect.__version__} here; allowed: the same, as "
            "deploy/constraints.txt has it"
        )


def _prefect_auth() -> tuple[str, str] | None:
    user, colon, password = os.environ.get(PREFECT_TOKEN, "").partition(":")
    return (user, password) if colon else None


def prefect_database(home: Home) -> str:
    """Where Prefect keeps what it knows of the runs of this home: the same for every server of it."""
    return _url(home.prefect_database)


def _url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def have_prefect_database(home: Home) -> None:
    """See that Prefect's database is whole before a server opens it; a damaged one is set aside, a new one empty.

    Raises ValueError where the disk is full or cannot be written.
    """

    def migrate(path: Path) -> None:
        environment = {**os.environ, "PREFECT_HOME": str(home.prefect)}
        environment |= {"PREFECT_API_DATABASE_CONNECTION_URL": _url(path)}
        command = [sys.executable, *PREFECT_MIGRATES]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode < 0:
            raise ValueError(
                f"Prefect's database could not be made: what makes it was ended by signal {-done.returncode}; the same "
                "command goes on"
            )
        if done.returncode != 0:
            raise RuntimeError(f"Prefect's database could not be made: {done.stderr or done.stdout}")

    path = home.prefect_database
    with writing(home, "Prefect's database"):
        home.prefect.mkdir(parents=True, exist_ok=True)
        with lock_of(home, path):
            have_whole(
                home, path, newest_revision(*PREFECT_MIGRATIONS), migrate, "and Prefect's pages begin anew"
            )


def pages_of(home: Home) -> dict[str, Any] | None:
    """What `make ui` wrote of the pages that it keeps for this home; None where it does not run."""
    try:
        record = json.loads(home.ui_record.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return record if is_alive(record) else None
