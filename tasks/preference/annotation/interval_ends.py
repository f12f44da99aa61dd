"""Ends of intervals from resamples, with a width for shares too that are 0 or 1 in every resample."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.standard_errors import share_interval

SHARES = ("choice", "wins", "likert")


def interval_ends(
    parts: list[NDArray[np.float64]], confidence: float, units: float | None = None
) -> tuple[float, float]:
    """Quantiles of the finite values, NaN where fewer than half are. units: of a share, how many were resampled."""
    if not parts:
        return np.nan, np.nan
    values = np.concatenate(parts)
    known = values[np.isfinite(values)]
    if len(known) < len(values) / 2:
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    if units is not None and known.min() == known.max() and low in (0, 1):
        return share_interval(float(low) * units, units, confidence)
    return float(low), float(high)


def units_of(rows: pd.DataFrame, cluster: str) -> float:
    """How many annotators or items were resampled, of both the fewer; of counts of wins, votes."""
    if not (rows["annotator"] != "").any():
        return float(rows["weight"].sum())
    counts = {"annotators": rows["annotator"].nunique(), "items": rows["item"].nunique()}
    return min(counts.values()) if cluster == "both" else counts[cluster]
