"""lm-evaluation-harness without its progress bars and chatter."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import lm_eval.api.task
from tqdm import tqdm

from tasks.side_by_side import entered_once


@entered_once
@contextmanager
def quiet_harness() -> Iterator[None]:
    """Only errors of harness and Hub are logged, and neither the harness nor `datasets` shows progress bars."""
    loggers = [logging.getLogger("lm_eval"), logging.getLogger("huggingface_hub")]
    levels = [logger.level for logger in loggers]
    had_bars, bar = datasets.is_progress_bar_enabled(), lm_eval.api.task.tqdm
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    lm_eval.api.task.tqdm = lambda items, **_: tqdm(items, disable=True)  # it has no switch for this one
    try:
        yield
    finally:
        lm_eval.api.task.tqdm = bar
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if had_bars:
            datasets.enable_progress_bars()
