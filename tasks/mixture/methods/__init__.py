"""Ways to choose a mixture, one file each, listed here; those that learn online are listed as rules."""

from typing import Any

from pydantic import TypeAdapter

from tasks.method import by_name, listed, settings_of
from tasks.mixture.learnt import LEARNT
from tasks.mixture.methods import (
    buckets,
    capped,
    manual,
    olmo,
    proportional,
    returns,
    swarm_law,
    temperature,
    uniform,
    unimax,
    utilimax,
)
from tasks.mixture.mixture_method import MixtureMethod
from tasks.mixture.settings import MixtureSettings

METHODS: tuple[MixtureMethod, ...] = (*listed(globals(), "METHOD"), *LEARNT)
METHODS_BY_NAME = by_name(METHODS)
MixtureChoice = settings_of(METHODS, default="returns")


def mixture_settings(**given: Any) -> MixtureSettings:
    """The settings of the method that is named, or of the default; ValueError as in a recipe."""
    return TypeAdapter(MixtureChoice).validate_python(given)


def method_of(settings: MixtureSettings) -> MixtureMethod:
    """The method that the settings are of."""
    return METHODS_BY_NAME[settings.method]


def check_evidence(settings: MixtureSettings, utility_method: str, swarm: int, where: str) -> None:
    """ValueError, beginning with `where`, where a method is fitted to a swarm and there is none."""
    if method_of(settings).evidence == "swarm" and not (utility_method == "ablation" and swarm > 0):
        raise ValueError(
            f"{where}: method {settings.method!r} is fitted to a swarm of proxies, but the utility is by "
            f"{utility_method!r} and utility.ablation.swarm={swarm}; allowed: utility 'ablation' with a swarm above 0"
        )
