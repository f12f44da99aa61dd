"""The run's log in the terminal: progress and warnings, and no traceback for what a user can mend."""

from __future__ import annotations

import logging
import os

RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")


def readable_logs() -> None:
    """Leave out what the command line says at the end, once: a ValueError, and that a run failed by it.

    Prefect keeps the message as the state of the run, where its pages show it. With MIXSTITCH_TRACEBACK set nothing is
    left out.
    """
    if os.environ.get("MIXSTITCH_TRACEBACK"):
        return
    for name in RUN_LOGGERS:
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ValueError) and "in state Failed" not in record.getMessage()
