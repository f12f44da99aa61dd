"""Pictures of mixture laws: methods side by side, and Spearman against the number of proxy runs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from tasks.report.formatting import shortened
from tasks.report.pictures.colours import ACCENT, EXPERT_MARKERS, EXPERTS, MUTED, SEED, STITCHED, heat
from tasks.report.pictures.drawing import drawing, new_figure

ROW, LETTER, CELL = 0.24, 0.072, 0.36
NAME_LENGTH = 22
LOWEST_SHOWN = 0.0
REGRET_LINEAR = 0.01
LEVELS = (-1.0, 0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
NEAREST = 1e-3  # To 1: what is nearer is drawn there.
COLOURS = (*EXPERTS, SEED, STITCHED)
MARKERS = (*EXPERT_MARKERS, "D", "*")


def draw_comparison(told: Mapping[str, Any]) -> Figure:
    """Spearman by law with intervals, the predicted loss of each proposal, and its weights as a heat map.

    told: what `tasks.mixture.comparing.compare` gave.
    """
    methods, sources = told["methods"], told["sources"]
    names = max(len(shortened(entry["title"], NAME_LENGTH)) for entry in methods) * LETTER
    source_height = max(len(shortened(source, NAME_LENGTH)) for source in sources) * LETTER * 0.8
    left, panel, gap, right = 0.2 + names, 2.5, 0.3, 0.25 + 0.6 * source_height
    heat_width = max(CELL * len(sources), 1.5)
    notes = textwrap.wrap(" · ".join(told["notes"]), width=int((left + 2 * panel + heat_width) / 0.068))
    bottom, top = 0.62 + 0.17 * len(notes), max(source_height + 0.25, 0.5)
    width, height = left + 2 * panel + heat_width + 2 * gap + right, ROW * len(methods) + bottom + top
    with drawing():
        figure, first = new_figure(width, height)
        box = (bottom / height, ROW * len(methods) / height)
        first.set_position((left / width, box[0], panel / width, box[1]))
        second = figure.add_axes(((left + panel + gap) / width, box[0], panel / width, box[1]))
        third = figure.add_axes(((left + 2 * (panel + gap)) / width, box[0], heat_width / width, box[1]))
        _spearman_panel(first, methods)
        _loss_panel(second, methods, told["reference"]["law"])
        _weights_panel(third, methods, sources)
        for axes in (first, second, third):
            axes.set_ylim(len(methods) - 0.5, -0.5)
        first.set_yticks(range(len(methods)), [shortened(entry["title"], NAME_LENGTH) for entry in methods])
        for axes in (second, third):
            axes.set_yticks([])
        for line, text in enumerate(reversed(notes)):
            figure.text(0.1 / width, (0.08 + 0.17 * line) / height, text, color=MUTED, fontsize=7.5)
    return figure


def _spearman_panel(axes: Axes, methods: list[dict[str, Any]]) -> None:
    shown = [(row, entry) for row, entry in enumerate(methods) if entry.get("spearman_mean") is not None]
    for row, entry in shown:
        low, high = entry["spearman_mean_interval"]
        if low is not None:
            axes.hlines(row, _distance(low), _distance(high), color=ACCENT, linewidth=1.6, alpha=0.65)
        axes.plot([_distance(entry["spearman_mean"])], [row], "o", color=ACCENT, markersize=5)
    for row, entry in enumerate(methods):
        if entry.get("spearman_mean") is None:
            word = "not scored" if entry["kind"] == "law" else "no law"
            axes.text(
                0.03, row, word, color=MUTED, va="center", fontsize=7.5, transform=axes.get_yaxis_transform()
            )
    if shown:
        axes.margins(x=0.08)
        limits = axes.get_xlim()
        _towards_one(axes.xaxis, limits, 0.13)
        axes.set_xlim(limits)
        axes.set_xlabel("Spearman, mean loss of held-out runs\n(stretched towards 1), 95% interval")
    else:
        axes.set_xticks([])
        axes.set_xlabel("no held-out runs with losses")
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _loss_panel(axes: Axes, methods: list[dict[str, Any]], reference: str) -> None:
    axes.set_xscale("symlog", linthresh=REGRET_LINEAR)
    for row, entry in enumerate(methods):
        law = entry["kind"] == "law"
        axes.plot(
            [entry["proposal_regret"]],
            [row],
            "s" if law else "D",
            color=ACCENT if law else SEED,
            markersize=5,
        )
    largest = max(entry["proposal_regret"] for entry in methods)
    ticks = [0, *(level for level in (0.01, 0.03, 0.1, 0.3, 1, 3, 10) if level <= 2 * largest)]
    axes.set_xlim(-0.3 * REGRET_LINEAR, max(2 * largest, 1.5 * REGRET_LINEAR))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick:g}" for tick in ticks])
    axes.set_xlabel(f"proposal's mean loss above the best\n(nats per token), by {reference}")
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _weights_panel(axes: Axes, methods: list[dict[str, Any]], sources: list[str]) -> None:
    values = np.array([[entry["weights"][source] for source in sources] for entry in methods])
    largest = max(float(values.max()), 1e-9)
    for row, shares in enumerate(values):
        for column, share in enumerate(shares):
            background, ink = heat(float(np.sqrt(share / largest)))
            axes.axvspan(
                column - 0.5,
                column + 0.5,
                ymin=1 - (row + 1) / len(values),
                ymax=1 - row / len(values),
                color=background,
                linewidth=0,
            )
            text = "" if share < 5e-4 else "<1" if share < 5e-3 else f"{100 * share:.0f}"
            axes.text(column, row, text, color=ink, ha="center", va="center", fontsize=7)
    axes.set_xlim(-0.5, len(sources) - 0.5)
    axes.xaxis.tick_top()
    axes.set_xticks(
        range(len(sources)),
        [shortened(source, NAME_LENGTH) for source in sources],
        rotation=60,
        ha="left",
        rotation_mode="anchor",
    )
    axes.tick_params(length=0)
    axes.set_xlabel("weight of each source (%)", labelpad=8)
    axes.xaxis.set_label_position("bottom")
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_efficiency(told: Mapping[str, Any]) -> Figure:
    """One line a method with the range over subsets; told: what `sample_efficiency.efficiency` gave.

    The right panel stretches what is near 1, where most laws end up.
    """
    points = told["points"]
    methods = list(dict.fromkeys(point["method"] for point in points))
    words = textwrap.wrap(told["words"], width=125)
    height = 4.9 + 0.17 * len(words)
    with drawing():
        figure, axes = new_figure(9.6, height)
        bottom = 0.62 + 0.17 * len(words)
        box = (bottom / height, 1 - (bottom + 0.35) / height)
        axes.set_position((0.065, box[0], 0.36, box[1]))
        close = figure.add_axes((0.5, box[0], 0.31, box[1]))
        for number, method in enumerate(methods):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            own = sorted((p for p in points if p["method"] == method), key=lambda p: p["runs"])
            places = [_place(p["runs"]) for p in own]
            means = np.array([p["mean"] for p in own])
            low, high = np.array([p["low"] for p in own]), np.array([p["high"] for p in own])
            for panel, change in ((axes, _same), (close, _distance)):
                panel.fill_between(places, change(low), change(high), color=colour, alpha=0.12, linewidth=0)
                panel.plot(
                    places,
                    change(means),
                    color=colour,
                    marker=marker,
                    markersize=5,
                    linewidth=1.4,
                    label=method,
                )
        counts = told["counts"]
        for panel in (axes, close):
            panel.xaxis.set_major_locator(FixedLocator([_place(count) for count in counts]))
            panel.set_xticklabels([str(count) for count in counts])
            panel.set_xlabel("proxy runs")
            panel.set_xlim(_place(min(counts)) - 0.3, _place(max(counts)) + 0.3)
            panel.grid(axis="both")
            panel.set_axisbelow(True)
        axes.set_ylabel(f"Spearman of the mean loss, {told['held_out']} held-out runs")
        axes.set_ylim(min(LOWEST_SHOWN, *(point["low"] for point in points)), 1.02)
        close.set_ylim(_distance(0.5), _distance(max(0.992, *(p["high"] for p in points))) + 0.1)
        _towards_one(close.yaxis, close.get_ylim(), 0.05)
        axes.set_title("all", fontsize=8.5, color=MUTED, loc="left")
        close.set_title("the same, stretched towards 1", fontsize=8.5, color=MUTED, loc="left")
        close.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
        for line, text in enumerate(reversed(words)):
            figure.text(0.01, (0.08 + 0.17 * line) / height, text, color=MUTED, fontsize=7.5)
    return figure


def _place(runs: int) -> float:
    """Doublings are equally far apart; 0 stands one step before 4."""
    return float(np.log2(runs)) if runs >= 4 else 1.0 if runs == 0 else 1.5


def _towards_one(axis: Axis, limits: tuple[float, float], apart: float) -> None:
    """Marks of a correlation on an axis that holds its distance from 1, at least so much of its length apart."""
    low, high = limits
    places: list[float] = []
    for level in LEVELS:
        place = float(_distance(level))
        if low <= place <= high and (not places or place - places[-1] >= apart * (high - low)):
            places.append(place)
    axis.set_major_locator(FixedLocator(places))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda place, _: f"{1 - 10**-place:.3g}")


def _same(values: Any) -> Any:
    return values


def _distance(values: Any) -> Any:
    """Orders of magnitude that a correlation is away from 1."""
    return -np.log10(np.maximum(1 - np.asarray(values, dtype=float), NEAREST))
