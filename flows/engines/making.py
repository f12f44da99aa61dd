"""Has stages of a run made by the site's engine, where there is one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from flows.engines import EngineSettings, engine_settings
from flows.engines.engine import Engine, Lost, Wanted
from flows.settings import Experiment
from storage.artifact import key_of, label_of
from storage.site import named_site
from storage.stages import Stage

log = logging.getLogger("mixstitch")


@contextmanager
def stages_made_there(experiment: dict[str, Any]) -> Iterator[Callable[[Stage], None] | None]:
    """What has a stage of the experiment made and put into the shared store; None where no engine is named.

    Raises ValueError where the engine cannot be reached, or no worker offers what a stage is to have.
    """
    site = named_site(None)
    settings = engine_settings(site) if site is not None else None
    if site is None or settings is None:
        yield None
        return
    told = site.model_dump(mode="json", exclude={"engine"})
    with closing(settings.open(site)) as engine:
        check_offers(engine, settings)

        def make(stage: Stage) -> None:
            wanted = Wanted(
                experiment=experiment,
                site=told,
                label=label_of(stage.name, stage.label),
                key=key_of(stage),
                minutes=settings.minutes,
                cache=settings.cache,
                threads=settings.threads_of_each,
                resources=tuple(settings.resources.get(stage.name, {}).items()),
            )
            make_in_the_end(engine, wanted, settings.tries)

        yield make


def make_in_the_end(engine: Engine, wanted: Wanted, tries: int) -> None:
    """Have a stage made, begun again where its worker is lost; it goes on from its shared progress.

    Raises ValueError where it is lost for the last time.
    """
    for attempt in range(1, tries + 1):
        try:
            engine.make(wanted)
            return
        except Lost as error:
            if attempt == tries:
                raise ValueError(
                    f"{wanted.label}: begun {tries} times, and lost each time (last: {error}); is their memory enough? "
                    "The same command goes on from what is kept"
                ) from error
            log.warning("%s: %s: begun again", wanted.label, error)


def check_engine(experiment: Experiment) -> None:
    """Raises ValueError for what is wrong with the words of the engine of the site that the environment names."""
    site = named_site(None)
    if site is None or engine_settings(site) is None:
        return
    if experiment.budget.minutes is not None:
        raise ValueError(
            f"budget.minutes={experiment.budget.minutes:g}: how many tokens that is would be measured here, and "
            "the site's engine trains elsewhere; allowed: budget.tokens"
        )


def tell_resources(stages: Iterable[str]) -> None:
    """Warn of resources for stages that this experiment has not got: a name that is wrong gives no stage anything."""
    site, names = named_site(None), dict.fromkeys(stages)
    settings = engine_settings(site) if site is not None else None
    for name in settings.resources if settings is not None else ():
        if name not in names:
            log.warning(
                "site: engine: resources: %s: no stage of this experiment is called so; they are: %s",
                name,
                ", ".join(names),
            )


def check_offers(engine: Engine, settings: EngineSettings) -> None:
    """Raises ValueError for resources that no worker has: the stage would wait for ever."""
    offered = engine.offered()
    for stage, wanted in settings.resources.items():
        if not any(all(one.get(name, 0.0) >= amount for name, amount in wanted.items()) for one in offered):
            told = ", ".join(f"{name}: {amount:g}" for name, amount in wanted.items())
            raise ValueError(
                f"site: engine: resources: {stage}: none of the {len(offered)} workers that are there offers {told}; "
                "workers say what they offer when they are started, and those that are started for a run offer none"
            )
