"""lm-evaluation-harness without its progress bars and chatter, and without compiling a template for every item."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import datasets
import lm_eval.api.task
import lm_eval.utils
from tqdm import tqdm

from tasks.side_by_side import entered_once


@entered_once
@contextmanager
def quiet_harness() -> Iterator[None]:
    """Only errors of harness and Hub are logged, neither the harness nor `datasets` shows progress bars, and the
    harness' templates are compiled once."""
    loggers = [logging.getLogger("lm_eval"), logging.getLogger("huggingface_hub")]
    levels = [logger.level for logger in loggers]
    had_bars, bar = datasets.is_progress_bar_enabled(), lm_eval.api.task.tqdm
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    lm_eval.api.task.tqdm = lambda items, **_: tqdm(items, disable=True)  # it has no switch for this one
    templates: Any = lm_eval.utils.env
    templates.from_string = functools.lru_cache(maxsize=1024)(templates.from_string)
    try:
        yield
    finally:
        del templates.from_string  # of the instance: its class' own is found again
        lm_eval.api.task.tqdm = bar
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if had_bars:
            datasets.enable_progress_bars()
