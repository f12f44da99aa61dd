"""Weights of a path of mixtures, stacked, against the budget; one panel an epoch cap."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from tasks.mixture.path import PathPoint
from tasks.report.formatting import compact, shortened
from tasks.report.pictures.colours import EXPERTS, MUTED, RULE
from tasks.report.pictures.drawing import drawing, new_figure

PANEL_INCHES, HEIGHT, LEGEND_INCHES = 3.2, 3.6, 2.1
HATCHES = ("", "//", "..", "xx")
NAME_LENGTH = 24


def draw_path(points: Sequence[PathPoint]) -> Figure:
    """Budgets on a logarithmic axis in tokens; where the cap allows no mixture the panel is empty."""
    caps = list(dict.fromkeys(point.epoch_cap for point in points))
    sources = list(next(point.mixture.weights for point in points if point.mixture is not None))
    budgets = sorted({point.budget for point in points})
    with drawing():
        width = PANEL_INCHES * len(caps) + LEGEND_INCHES
        figure, first = new_figure(width, HEIGHT)
        first.remove()
        left, right = 0.6 / width, 1 - LEGEND_INCHES / width
        share = (right - left) / len(caps)
        for number, cap in enumerate(caps):
            axes = figure.add_axes((left + number * share, 0.16, share - 0.3 / width, 0.72))
            axes.patch.set_alpha(0)
            _panel(axes, [p for p in points if p.epoch_cap == cap], sources, budgets)
            title = "no epoch cap" if math.isinf(cap) else f"at most {cap:g} epochs"
            axes.set_title(title, fontsize=9, loc="left")
            if number:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel("weight in the mixture")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(right + 0.01, 0.9), borderaxespad=0
        )
        return figure


def _panel(axes, points: Sequence[PathPoint], sources: list[str], budgets: list[int]) -> None:
    solved = sorted((p for p in points if p.mixture is not None), key=lambda point: point.budget)
    lower = [0.0] * len(solved)
    for number, source in enumerate(sources):
        upper = [
            below + (p.mixture.weights[source] if p.mixture else 0)
            for below, p in zip(lower, solved, strict=True)
        ]
        axes.fill_between(
            [p.budget for p in solved],
            lower,
            upper,
            color=EXPERTS[number % len(EXPERTS)],
            hatch=HATCHES[number // len(EXPERTS) % len(HATCHES)],
            edgecolor="white",
            linewidth=0.4,
            alpha=0.85,
            label=shortened(source, NAME_LENGTH),
        )
        binding = [(p.budget, top) for p, top in zip(solved, upper, strict=True) if _binds(p, source)]
        if binding:
            axes.plot(*zip(*binding, strict=True), "k.", markersize=4)
        lower = upper
    refused = [p.budget for p in points if p.mixture is None]
    if refused:
        middle = (max([p.budget for p in solved], default=budgets[0]) * refused[-1]) ** 0.5
        axes.text(middle, 0.5, "too few tokens", color=MUTED, ha="center", va="center", rotation=90)
    axes.set_xscale("log")
    axes.set_xlim(budgets[0], budgets[-1] if len(budgets) > 1 else budgets[0] * 10)
    axes.set_ylim(0, 1)
    shown = budgets if len(budgets) <= 4 else [budgets[0], budgets[len(budgets) // 2], budgets[-1]]
    axes.set_xticks(shown, [compact(budget) for budget in shown])
    for label, side in zip(
        axes.get_xticklabels(), ("left", *["center"] * (len(shown) - 2), "right"), strict=False
    ):
        label.set_horizontalalignment(side)
    axes.minorticks_off()
    axes.grid(color=RULE, axis="y")
    axes.set_xlabel("budget in tokens (dots: at its cap)")


def _binds(point: PathPoint, source: str) -> bool:
    return point.mixture is not None and source in point.mixture.certificate["binding"]
