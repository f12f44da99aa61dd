"""How long to wait before a request is made again: growing, jittered, and never less than the server asks for."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

FIRST_WAIT, LONGEST_BACKOFF = 0.5, 30.0  # seconds
LONGEST_WAIT = 600.0  # a server that asks for more is not waited for
TRANSIENT = (408, 409, 425, 429)
PROMPT_AT_FAULT = (400, 413, 422)  # too long, filtered: what other prompts need not meet


def is_transient(status: int) -> bool:
    """Whether an HTTP status may go away by itself."""
    return status in TRANSIENT or status >= 500


def asked_wait(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that `retry-after-ms` or `retry-after` (seconds, or an HTTP date) asks for; None without either.

    headers: with lower-case names, or case-insensitive. What cannot be read counts as absent.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        told = headers.get(name)
        if told is None:
            continue
        try:
            seconds = float(told) * unit
        except ValueError:
            seconds = math.nan
        if not math.isnan(seconds):
            return max(seconds, 0.0)
        try:
            moment = parsedate_to_datetime(told)
        except ValueError:
            continue
        return max(moment.timestamp() - (time.time() if now is None else now), 0.0)
    return None


def wait_before(attempt: int, asked: float | None) -> float:
    """Seconds before attempt 1, 2, ...: 0.5, 1, 2, ... 30 less a random part of up to half; at least `asked`.

    What the server asks for is lengthened by a random tenth, so that not all come back in the same moment.
    """
    backoff = min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_BACKOFF) * random.uniform(0.5, 1.0)
    return backoff if asked is None else max(backoff, asked * random.uniform(1.0, 1.1))
