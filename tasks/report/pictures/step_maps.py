"""A map by training step with a curve under it, on one axis of steps: what stability and routing are drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tasks.report.pictures.drawing import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

MAX_COLUMNS = 240


def looks_of_columns(num_looks: int) -> list[np.ndarray] | None:
    """Of each of MAX_COLUMNS columns the numbers of its looks; None where every look has a column of its own."""
    return None if num_looks <= MAX_COLUMNS else np.array_split(np.arange(num_looks), MAX_COLUMNS)


def map_and_curve(height: float) -> tuple[Figure, Axes, Axes]:
    """A figure, the axes of a map of so many inches, and those of the curve."""
    figure, axes = new_figure(11.3, 2.3 + height)
    axes.remove()
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [max(height, 0.6), 1.3]})
    figure.subplots_adjust(left=0.15, right=0.91, top=0.97, bottom=0.2 * 2.3 / (2.3 + height), hspace=0.12)
    return figure, upper, lower


def edges_of(steps: np.ndarray) -> np.ndarray:
    """Where the columns of a map begin and end: each ends at its step."""
    first = steps[0] - (steps[1] - steps[0] if len(steps) > 1 else steps[0])
    return np.concatenate([[first], steps])


def colour_bar(figure: Figure, mesh: QuadMesh) -> Colorbar:
    """The scale of the map's colours, beside it."""
    return figure.colorbar(mesh, cax=figure.add_axes((0.925, 0.3, 0.012, 0.6)))
