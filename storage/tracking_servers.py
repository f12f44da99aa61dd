"""MLflow servers of elsewhere: whether one answers, and whether it may have files."""

from __future__ import annotations

from urllib.parse import urlsplit

from storage.trusted import parse_host

PROBE_SECONDS = 10


def may_write_to(artifact_uri: str, server: str) -> bool:
    """Whether a server may have files written there: no server of elsewhere names a folder of this machine."""
    scheme = urlsplit(artifact_uri).scheme
    return scheme not in ("", "file") or parse_host(server).is_loopback


def check_server(uri: str) -> None:
    """Raise ValueError where no MLflow server answers at `uri`; MLflow itself would try for minutes."""
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=PROBE_SECONDS).raise_for_status()
    except requests.RequestException as error:
        raise ValueError(
            f"{uri}: no MLflow server answers there ({type(error).__name__}); allowed, as tracking.mlflow_uri or a "
            "site's mlflow: the URL of a running one, or none for the database in the home"
        ) from error
