"""What a run says while it goes on."""

from __future__ import annotations

import logging
from types import SimpleNamespace

from flows.progress import Course, shown_progress
from storage.stages import PROGRESS_LOGGER


def plan(**minutes: float) -> SimpleNamespace:
    stages = [SimpleNamespace(artifact=SimpleNamespace(label=label)) for label in minutes]
    return SimpleNamespace(stages=stages, rows=lambda speed: [{"minutes": m} for m in minutes.values()])


def test_the_part_that_is_done_is_of_the_time_that_was_planned():
    """A stage takes .3 s at least: of 60.6 + .3 + .3 s half the seed's 60.3 s, and one short stage whole."""
    course = Course()
    course.plan(plan(seed=1.0, report=0.0, mixture=None), 1e9)
    course.end("mixture")
    course.at("seed", 0.5)
    assert course.total == 3
    assert course.part == (0.3 + 0.5 * 60.3) / (60.3 + 0.3 + 0.3)
    assert course.left
    course.end("seed")
    course.end("report")
    assert (course.part, course.left) == (1.0, "")


def test_a_stage_that_was_not_planned_counts(capsys):
    course = Course()
    course.plan(plan(seed=1.0), 1e9)
    course.end("seed")
    course.end("snapshot")
    assert (len(course.done), course.total) == (2, 2)


def test_each_stage_that_ends_is_one_line_on_standard_error(capsys):
    logger = logging.getLogger(PROGRESS_LOGGER)
    with shown_progress():
        logger.info("2 stages", extra={"planned": (plan(seed=1.0, report=0.1), 1e9)})
        logger.debug("seed: 50%", extra={"at": ("seed", 0.5)})
        for name, hit in (("seed", True), ("report", False)):
            entry = {"name": name, "cache_hit": hit, "seconds": 2.04, "headline": "[all] done"}
            logger.info("%s", name, extra={"ended": entry})
    told = capsys.readouterr()
    assert told.err.splitlines() == ["1/2 seed (found): [all] done", "2/2 report (2.0 s): [all] done"]
    assert told.out == ""
