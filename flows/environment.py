"""Prefect, MLflow and torch set up for one home: local, private, quiet.

Import this before any of them. A server that `make ui` keeps running is used; otherwise Prefect starts one for
the time of the run, on the same database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from storage.home import Home
from storage.processes import is_alive, this_process

RUN_PROCESS = "MIXSTITCH_RUN_PROCESS"  # in the environment of a server that Prefect starts: whose it is
FIXED = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # two runs in one home write to one file
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mixstitch",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # ours also speak outside of flows
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "TRANSFORMERS_VERBOSITY": "error",
    "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep: a busy machine slows training far less
}


def prepare_environment() -> None:
    """Set what the libraries read when they are imported; what the user has set stays."""
    for name, value in FIXED.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_settings(home: Home) -> Iterator[None]:
    """Prefect with its database in this home, and the home's server where one runs."""
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_DATABASE_CONNECTION_URL,
        PREFECT_API_URL,
        PREFECT_HOME,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
        PREFECT_SERVER_API_AUTH_STRING,
        PREFECT_SERVER_CORS_ALLOWED_ORIGINS,
        PREFECT_SERVER_CSRF_PROTECTION_ENABLED,
        temporary_settings,
    )

    from flows.temporary_server import TemporaryServer, own_auth_string

    served = pages_of(home)
    updates = {
        PREFECT_HOME: home.prefect,
        PREFECT_API_DATABASE_CONNECTION_URL: prefect_database(home),
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True,
    }
    home.prefect.mkdir(parents=True, exist_ok=True)
    os.environ[RUN_PROCESS] = json.dumps(this_process())
    try:
        if served is not None:
            updates |= {
                PREFECT_API_URL: served["prefect_api"],
                PREFECT_API_AUTH_STRING: served["prefect_auth"],
            }
            with temporary_settings(updates=updates):
                yield
        else:
            updates |= {
                PREFECT_API_AUTH_STRING: own_auth_string(),
                PREFECT_SERVER_API_AUTH_STRING: own_auth_string(),
                PREFECT_SERVER_CORS_ALLOWED_ORIGINS: "",
                PREFECT_SERVER_CSRF_PROTECTION_ENABLED: True,
            }
            TemporaryServer()
            with temporary_settings(updates=updates, restore_defaults={PREFECT_API_URL}):
                yield
    finally:
        del os.environ[RUN_PROCESS]


def prefect_database(home: Home) -> str:
    """Where Prefect keeps what it knows of the runs of this home: the same for every server of it."""
    return f"sqlite+aiosqlite:///{home.prefect / 'prefect.db'}"


def pages_of(home: Home) -> dict[str, Any] | None:
    """What `make ui` wrote of the pages that it keeps for this home; None where it does not run."""
    try:
        record = json.loads(home.ui_record.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return record if is_alive(record) else None
