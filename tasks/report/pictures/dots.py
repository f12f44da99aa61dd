"""Dots with error bars, one row a name: scores of models on a task, or correlations of benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.report.formatting import shortened, with_error
from tasks.report.pictures.colours import ACCENT, MUTED, Look
from tasks.report.pictures.drawing import Picture, drawing, finished, new_figure

ROW_INCHES = 0.21
LETTER_INCHES = 0.072
PANEL_INCHES = 3.5
NAME_LENGTH = 20


@dataclass(frozen=True)
class Dot:
    """A value with its interval (None: no interval is drawn), or no value."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    look: Look


def draw_dots(
    dots: Sequence[Dot],
    label: str,
    words: str,
    reference: tuple[float, str] | None = None,
    width: float = PANEL_INCHES,
) -> Picture:
    """Names down the left, values to the right; `reference` is a dashed line and what it is."""
    with drawing():
        height = ROW_INCHES * len(dots) + 0.75
        figure, axes = new_figure(width, height)
        left = 0.15 + LETTER_INCHES * max(len(shortened(dot.name, NAME_LENGTH)) for dot in dots)
        figure.subplots_adjust(left=left / width, right=0.96, top=1 - 0.2 / height, bottom=0.47 / height)
        bars = [
            (row, dot.low, dot.high, dot.look.colour)
            for row, dot in enumerate(dots)
            if dot.low is not None and dot.high is not None
        ]
        if bars:
            rows, lows, highs, colours = zip(*bars, strict=True)
            axes.hlines(rows, lows, highs, colors=colours, linewidth=1.6, alpha=0.65)
        for row, dot in enumerate(dots):
            if dot.value is not None:
                size = 8 if dot.look.marker == "*" else 5
                axes.plot([dot.value], [row], dot.look.marker, color=dot.look.colour, markersize=size)
        for row, dot in enumerate(dots):
            if dot.value is None:
                axes.text(
                    0.02, row, "no score", color=MUTED, va="center", transform=axes.get_yaxis_transform()
                )
        if reference is not None:
            axes.axvline(reference[0], color=ACCENT, linewidth=1, linestyle="--")
            axes.annotate(
                reference[1],
                (reference[0], 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
                color=ACCENT,
            )
        axes.set_yticks(range(len(dots)), [shortened(dot.name, NAME_LENGTH) for dot in dots])
        axes.set_ylim(len(dots) - 0.4, -0.6)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.set_xlabel(label)
        return finished(figure, words)


def score_words(dots: Sequence[Dot]) -> str:
    """What a panel shows, for those who cannot see it."""
    told = []
    for dot in dots:
        half = (dot.high - dot.low) / 4 if dot.low is not None and dot.high is not None else None
        told.append(f"{dot.name} {with_error(dot.value, half)}")
    return "; ".join(told)
