"""Where a run is shown to people: the settings `tracking`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from storage.site import named_site
from storage.trusted import RESULTS_HOST


class TrackingSettings(BaseModel):
    """Where runs are tracked for people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mlflow_uri: str | None = Field(
        None, description="URL of an MLflow server; empty: a database in the home. No passwords: use MLflow's "
        "environment variables.", json_schema_extra=RESULTS_HOST,
    )  # fmt: skip

    @field_validator("mlflow_uri")
    @classmethod
    def _names_a_server_without_password(cls, uri: str | None) -> str | None:
        if uri is not None and not uri.startswith(("http://", "https://")):
            raise ValueError(
                "allowed: the http:// or https:// URL of an MLflow server, or nothing for the database in the home"
            )
        if uri is not None and any(mark in uri for mark in "@?"):
            raise ValueError(
                "must hold no user, password or query: they would be written into the run's record; set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, in the environment"
            )
        return uri


def tracking_uri(tracking: TrackingSettings) -> str | None:
    """The MLflow server of a run: its own, or that of the site that the environment names; None for the home's."""
    site = None if tracking.mlflow_uri else named_site(None)
    return site.mlflow if site is not None else tracking.mlflow_uri
