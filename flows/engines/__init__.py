"""Engines that carry out stages on other machines: each one file, listed here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from flows.engines.dask_workers import DaskSettings
from flows.engines.ray_workers import RaySettings
from storage.refusals import refusals
from storage.site import Site

EngineSettings = DaskSettings | RaySettings
_SETTINGS: TypeAdapter[EngineSettings] = TypeAdapter(Annotated[EngineSettings, Field(discriminator="kind")])


def engine_settings(site: Site) -> EngineSettings | None:
    """What the site says of its engine; None where stages are made in the run's own process.

    Raises ValueError naming the key and what is allowed.
    """
    if site.engine is None:
        return None
    try:
        return _SETTINGS.validate_python(site.engine)
    except ValidationError as error:
        raise ValueError(f"site: engine: {'; '.join(refusals(error, 'it'))}") from error
