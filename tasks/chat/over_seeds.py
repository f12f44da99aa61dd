"""A mean with its 95% interval: over seeds where there are several, else the one that a single seed has over items."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def over_seeds(values: Sequence[float], single: tuple[float, float]) -> dict[str, float]:
    """mean, low and high: the t interval over the seeds; of one seed `single`, its interval over items."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return {"mean": mean, "low": single[0], "high": single[1]}
    half = (
        stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    )
    return {"mean": mean, "low": mean - float(half), "high": mean + float(half)}
