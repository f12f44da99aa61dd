"""What this machine allows an experiment: where keys go, and what the page may set beside what a user at the shell may.

The settings say themselves what they open (`storage.trusted`). Who sends a form need not be who sits here, and what
is pasted into one came from somewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prefect.context import FlowRunContext
from pydantic import BaseModel

from flows.settings import Experiment
from flows.tracking_settings import tracking_uri
from storage.home import Home
from storage.trusted import (
    CODE,
    HOST,
    OPENS,
    PERHAPS_PLACE,
    PLACE,
    RESULTS_HOST,
    Trusted,
    parse_host,
    what_is_trusted,
)
from tasks.utility.methods import METHODS_BY_NAME

# MLflow's client sends them, or what they lead to, to whatever server it is told, and what stands in the file too.
MLFLOW_KEYS = (
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
)
MLFLOW_FILE, FILES_KEY = "~/.mlflow/credentials", "MLFLOW_TRACKING_PASSWORD"


def check_keys(e: Experiment) -> None:
    """Raises ValueError where a run would send a key to a host that this machine's user does not trust with it."""
    used = [e.utility.method] if e.duel is None else [contender.utility for contender in e.duel.contenders]
    for name in dict.fromkeys(used):
        METHODS_BY_NAME[name].check(e.utility.section(name))
    uri = tracking_uri(e.tracking)
    if uri is not None:
        for variable in MLFLOW_KEYS:
            if os.environ.get(variable):
                what_is_trusted().check_key(variable, uri, f"tracking.mlflow_uri={uri}")
        if Path(MLFLOW_FILE).expanduser().exists():
            what_is_trusted().check_key(FILES_KEY, uri, f"tracking.mlflow_uri={uri}: there is {MLFLOW_FILE}")


def check_what_started(e: Experiment) -> None:
    """Raises ValueError where the flow run at work was started from a deployment, and that may not set all of this."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None:
        check_from_page(e, Home.from_environment())


def check_from_page(e: Experiment, home: Home) -> None:
    """Raises ValueError naming the first setting that opens the machine further than its user has said here."""
    trusted = what_is_trusted()
    for name, opens, value in _opening(e, ""):
        if opens == CODE[OPENS]:
            what = "runs what models write" if value is True else "runs the code in that folder"
            raise ValueError(
                f"{name}={value}: {what}, and cannot be set from the page; allowed: `mixstitch run` in a shell"
            )
        if opens in (HOST[OPENS], RESULTS_HOST[OPENS]):
            _check_host(trusted, name, str(value), own=opens == HOST[OPENS])
        elif opens != PERHAPS_PLACE[OPENS] or _is_place(str(value)):
            _check_place((home.root, *trusted.folders), name, Path(value))


def _opening(model: BaseModel, above: str) -> Iterator[tuple[str, str, Any]]:
    """(setting, what it opens, value) of every setting that is given and opens something."""
    for field, info in type(model).model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        opens = str(extra.get(OPENS, ""))
        for name, value in _values(getattr(model, field), f"{above}{field}"):
            if isinstance(value, BaseModel):
                yield from _opening(value, f"{name}.")
            elif opens or isinstance(value, Path):
                yield name, opens or PLACE[OPENS], value


def _values(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The value, or what a list or a mapping holds, by name; nothing where it is empty or off."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _values(one, f"{name}.{key}")
    elif isinstance(value, tuple | list):
        for place, one in enumerate(value):
            yield from _values(one, f"{name}.{place}")
    elif value is not None and value is not False:
        yield name, value


def _check_host(trusted: Trusted, name: str, url: str, own: bool) -> None:
    """own: this machine itself may be named, too."""
    host = parse_host(url)
    if not trusted.names_host(url) and not (own and host.is_loopback):
        raise ValueError(
            f"{name}={url}: cannot be set from the page; allowed: {'this machine, and ' if own else ''}hosts that you "
            "name on it, in MIXSTITCH_TRUSTED or in trusted.yaml of the home"
        )


def _is_place(text: str) -> bool:
    """Whether a text that is a path or a name elsewhere is a path."""
    return text.startswith(("/", ".", "~")) or ".." in Path(text).parts or Path(text).exists()


def _check_place(folders: tuple[Path, ...], name: str, path: Path) -> None:
    try:
        place = path.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{name}={path}: cannot be looked up: {error}") from error
    if not any(place.is_relative_to(folder) for folder in folders):
        raise ValueError(
            f"{name}={path}: cannot be set from the page; allowed: what is in {', '.join(map(str, folders))}, or in "
            "a folder that you name on this machine, in MIXSTITCH_FOLDERS or in trusted.yaml of the home"
        )
