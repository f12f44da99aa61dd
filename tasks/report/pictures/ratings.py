"""Left-out predictions of human ratings against the published ones, with their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.report.formatting import shortened
from tasks.report.pictures.colours import ACCENT, MUTED, STITCHED
from tasks.report.pictures.drawing import Picture, drawing, finished, new_figure


def draw_ratings(loo: pd.DataFrame, confidence: float, unit: str) -> Picture | None:
    """loo: model, truth, predicted, low, high, as `tasks.preference.result.Forecast` has it. None if empty."""
    loo = loo[np.isfinite(loo["truth"]) & np.isfinite(loo["predicted"])]
    if loo.empty:
        return None
    with drawing():
        figure, axes = new_figure(6.2, 4.4)
        figure.subplots_adjust(left=0.11, right=0.98, top=0.97, bottom=0.12)
        points = loo[["truth", "predicted", "low", "high"]].to_numpy(float)
        inside = (points[:, 2] <= points[:, 0]) & (points[:, 0] <= points[:, 3])
        for model, (truth, predicted, low, high), held in zip(loo["model"], points, inside, strict=True):
            colour, marker = (ACCENT, "o") if held else (STITCHED, "D")
            if np.isfinite([low, high]).all():
                axes.plot([truth, truth], [low, high], color=colour, linewidth=1.2, alpha=0.45)
            axes.plot([truth], [predicted], marker, color=colour, markersize=5)
            if not held:
                axes.annotate(
                    shortened(str(model), 26),
                    (truth, predicted),
                    xytext=(6, 4),
                    textcoords="offset points",
                    fontsize=7.5,
                )
        finite = points[np.isfinite(points)]
        least, most = float(finite.min()), float(finite.max())
        axes.plot([least, most], [least, most], color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
        first, last = float(points[:, 0].min()), float(points[:, 0].max())
        margin = 0.06 * (last - first or 1.0)
        axes.set_xlim(first - margin, last + margin)
        axes.grid()
        axes.set_axisbelow(True)
        axes.set_xlabel(f"published rating ({shortened(unit, 70)})" if unit else "published rating")
        axes.set_ylabel(f"predicted with the model left out, {confidence:.0%} interval")
        words = (
            f"Predicted against published rating of {len(loo)} models; {int(inside.sum())} intervals hold it."
        )
        return finished(figure, words)
