"""Pictures of preference: clustered heat maps of correlations, forecast against truth, and calibration."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage

from tasks.preference.study import LEVEL
from tasks.report.formatting import shortened
from tasks.report.pictures.colours import ACCENT, INK, MUTED, STITCHED
from tasks.report.pictures.drawing import drawing, new_figure

ROW, LETTER, NAME_LENGTH = 0.19, 0.068, 24
MOST_COLUMNS = 24
MOST_PANELS = 12
DIVERGING = LinearSegmentedColormap.from_list("correlation", [STITCHED, "#fbfaf7", ACCENT])
LEVELS = tuple(np.arange(0.1, 1.0, 0.1))


def draw_correlations(pairs: pd.DataFrame, statistic: str = "pearson", removed: str = "") -> Figure:
    """Categories by benchmarks, both in the order of an average-linkage tree; a dot: holds over all tests at LEVEL.

    pairs: see `association.pairs.GuardedPairs`. More than 24 benchmarks are spread over several panels, so that each
    label can be read. Raises ValueError where no pair is of that kind.
    """
    part = pairs[(pairs["statistic"] == statistic) & (pairs["removed"] == removed)]
    if part.empty:
        raise ValueError(f"no pair of statistic={statistic!r}, removed={removed!r}")
    r = part.pivot(index="target", columns="benchmark", values="value")
    r = r.iloc[_order(r.to_numpy()), _order(r.to_numpy().T)]
    holds = part.pivot(index="target", columns="benchmark", values="p_family_wise").reindex_like(r) <= LEVEL
    panels = np.array_split(np.arange(r.shape[1]), math.ceil(r.shape[1] / MOST_COLUMNS))
    names = max(len(shortened(str(name), NAME_LENGTH)) for name in r.index) * LETTER + 0.2
    heads = max(len(shortened(str(name), NAME_LENGTH)) for name in r.columns) * LETTER * 0.8 + 0.25
    across = max(len(panel) for panel in panels) * ROW * 1.3
    tall = len(r) * ROW
    width, height = names + across + 0.75, len(panels) * (heads + tall + 0.2) + 0.15
    with drawing():
        figure, first = new_figure(width, height)
        first.remove()
        for number, panel in enumerate(panels):
            bottom = height - (number + 1) * (heads + tall + 0.2) + 0.1
            box = (names / width, bottom / height, len(panel) * ROW * 1.3 / width, tall / height)
            axes = figure.add_axes(box)
            _heat(axes, r.iloc[:, panel], holds.iloc[:, panel])
        bar = figure.add_axes(
            ((width - 0.5) / width, 1 - (heads + tall) / height, 0.1 / width, tall / height)
        )
        steps = np.linspace(1, -1, 100)[:, None]
        bar.imshow(steps, cmap=DIVERGING, aspect="auto", extent=(0, 1, -1, 1), vmin=-1, vmax=1)
        bar.set_xticks([])
        bar.yaxis.tick_right()
        bar.set_yticks([-1, 0, 1])
    return figure


def _order(values: NDArray[np.float64]) -> NDArray[np.intp]:
    if len(values) < 3:
        return np.arange(len(values))
    return leaves_list(linkage(np.nan_to_num(values), "average", optimal_ordering=True))


def _heat(axes: Axes, r: pd.DataFrame, holds: pd.DataFrame) -> None:
    axes.imshow(r.to_numpy(float), cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto")
    rows, columns = np.nonzero(holds.to_numpy(bool))
    axes.plot(columns, rows, ".", color=INK, markersize=2.5)
    axes.set_xticks(
        range(r.shape[1]), [shortened(str(name), NAME_LENGTH) for name in r.columns], rotation=50, ha="left"
    )
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(r)), [shortened(str(name), NAME_LENGTH) for name in r.index])
    axes.tick_params(length=0)


def draw_forecasts(cells: pd.DataFrame) -> Figure:
    """Left-out forecast against the rating, a panel a category, with intervals and the identity line.

    cells: one method's of `validating.Validation.cells`. At most twelve categories are drawn: those with most ratings,
    in the order of the table.
    """
    if cells.empty:
        raise ValueError("no forecast of a rated model to draw")
    counts = cells["target"].value_counts()
    chosen = set(counts.index[:MOST_PANELS])
    names = [name for name in dict.fromkeys(cells["target"]) if name in chosen]
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    side = {1: 3.4, 2: 2.4}.get(len(names), 1.45)
    step_x, step_y = side + 0.6, side + 0.55
    width, height = step_x * columns + 0.35, step_y * rows + 0.35
    with drawing():
        figure, first = new_figure(width, height)
        first.remove()
        for i, name in enumerate(names):
            row, column = divmod(i, columns)
            left, top = 0.8 + step_x * column, 0.28 + step_y * row
            box = (left / width, 1 - (top + side) / height, side / width, side / height)
            part = cells[cells["target"] == name]
            _scatter(figure.add_axes(box), part, shortened(str(name), NAME_LENGTH))
        figure.text(0.5, 0.06 / height, "rating", ha="center", va="bottom", color=MUTED)
        figure.text(
            0.08 / width,
            0.5,
            "left-out forecast",
            rotation=90,
            va="center",
            ha="left",
            color=MUTED,
        )
    return figure


def _scatter(axes: Axes, cells: pd.DataFrame, title: str) -> None:
    truth, predicted = cells["truth"].to_numpy(float), cells["predicted"].to_numpy(float)
    held = cells["covered"].to_numpy(bool)
    finite = np.isfinite(cells["half_width"].to_numpy(float))
    for inside, colour, marker in ((True, ACCENT, "o"), (False, STITCHED, "D")):
        here = held == inside
        axes.plot(truth[here], predicted[here], marker, color=colour, markersize=3)
        for at in np.flatnonzero(here & finite):
            ends = cells["low"].iloc[at], cells["high"].iloc[at]
            axes.plot([truth[at]] * 2, ends, color=colour, linewidth=0.9, alpha=0.4)
    ends = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    axes.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
    margin = 0.08 * ((ends[1] - ends[0]) or 1)
    axes.set_ylim(ends[0] - 3 * margin, ends[1] + 3 * margin)
    side = 0.08 * ((truth.max() - truth.min()) or 1)
    axes.set_xlim(truth.min() - side, truth.max() + side)
    axes.set_title(title, fontsize=8, pad=3)
    axes.tick_params(labelsize=6.5)
    axes.grid()
    axes.set_axisbelow(True)


def draw_calibration(cells: pd.DataFrame, confidence: float) -> Figure:
    """Share of left-out ratings inside intervals of each level: on the diagonal where intervals say what they do.

    cells: as of `draw_forecasts`. Levels are reached by scaling the intervals of `confidence` about their middle, as a
    normal error would have it; that level itself is marked.
    """
    cells = cells[np.isfinite(cells["half_width"])]
    if cells.empty:
        raise ValueError("no finite interval to draw")
    levels, shares = calibration(cells, confidence)
    with drawing():
        figure, axes = new_figure(3.4, 3.0)
        figure.subplots_adjust(left=0.16, right=0.97, top=0.96, bottom=0.16)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle="--")
        axes.plot(levels, shares, "o-", color=ACCENT, markersize=3.5, linewidth=1.2)
        axes.plot([confidence], [cells["covered"].mean()], "D", color=STITCHED, markersize=6)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.grid()
        axes.set_xlabel("level of the interval")
        axes.set_ylabel(f"share of {len(cells)} left-out ratings inside")
    return figure


def calibration(cells: pd.DataFrame, confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Levels .1 to .9 and the share of truths inside intervals scaled to each."""
    from scipy.stats import norm

    middle = (cells["low"] + cells["high"]).to_numpy(float) / 2
    half = cells["half_width"].to_numpy(float)
    distance = np.abs(cells["truth"].to_numpy(float) - middle)
    levels = np.array(LEVELS)
    factors = norm.ppf((1 + levels) / 2) / norm.ppf((1 + confidence) / 2)
    return levels, (distance[None] <= factors[:, None] * half[None]).mean(1)
