"""How much of each expert's gain a combined model keeps, and bits per byte against what a token costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.report.formatting import compact, percent
from tasks.report.pictures.colours import EXPERT_MARKERS, EXPERTS, INK, MUTED
from tasks.report.pictures.drawing import Picture, drawing, finished, new_figure

MEAN = "mean"


def draw_kept(rows: Sequence[dict]) -> Picture:
    """rows: {model, expert, mean, low, high}; one line a model, a mark an expert, a bar for their mean's interval."""
    models = sorted(
        dict.fromkeys(row["model"] for row in rows),
        key=lambda model: next(r["mean"] for r in rows if (r["model"], r["expert"]) == (model, MEAN)),
    )
    experts = [expert for expert in dict.fromkeys(row["expert"] for row in rows) if expert != MEAN]
    of = {(row["model"], row["expert"]): row for row in rows}
    with drawing():
        height = 0.9 + 0.24 * len(models)
        figure, axes = new_figure(7.4, height)
        figure.subplots_adjust(left=0.24, right=0.97, top=1 - 0.35 / height, bottom=0.5 / height)
        for place, model in enumerate(models):
            mean = of[model, MEAN]
            if mean["low"] is not None:
                axes.hlines(place, mean["low"], mean["high"], colors=INK, linewidth=1.6, alpha=0.6)
            axes.plot(mean["mean"], place, marker="|", markersize=11, color=INK, linestyle="none")
        for number, expert in enumerate(experts):
            axes.plot(
                [of[model, expert]["mean"] for model in models],
                range(len(models)),
                linestyle="none",
                marker=EXPERT_MARKERS[number % len(EXPERT_MARKERS)],
                color=EXPERTS[number % len(EXPERTS)],
                markersize=5,
                alpha=0.85,
                label=expert,
            )
        shown = [of[model, expert]["mean"] for model in models for expert in [*experts, MEAN]]
        low, high = min([*shown, 0.0]), max([*shown, 1.0])
        room = 0.05 * (high - low)
        axes.set_xlim(low - room, high + room)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.axvline(1, color=MUTED, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(models)), models)
        axes.set_xlabel("share of the expert's own-domain gain that is kept (bar: mean over experts)")
        axes.xaxis.set_major_formatter(lambda value, _: percent(value))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        figure.legend(loc="upper right", ncols=len(experts), borderaxespad=0.1)
        best = models[-1]
        return finished(
            figure, f"Share of the experts' gains kept by {len(models)} models; the most by {best}."
        )


def draw_bits_against_cost(bits: Mapping[str, float], flops: Mapping[str, float]) -> Picture:
    """Average bits per byte of each model against the FLOPs of a token's forward pass; names beside the points."""
    models = [model for model in bits if model in flops]
    with drawing():
        figure, axes = new_figure(7.4, 4.2)
        figure.subplots_adjust(left=0.1, right=0.97, top=0.97, bottom=0.13)
        x = np.array([flops[model] for model in models])
        y = np.array([bits[model] for model in models])
        axes.plot(x, y, linestyle="none", marker="o", markersize=5, color=EXPERTS[0])
        axes.set_xscale("log")
        low, high = x.min() / 1.1, x.max() * 1.9
        axes.set_xlim(low, high)
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        ticks = [
            tick for decade in decades for tick in (decade, 2 * decade, 5 * decade) if low <= tick <= high
        ]
        axes.set_xticks(ticks, [compact(tick) for tick in ticks])
        axes.minorticks_off()
        span = float(np.ptp(y))
        alike = span <= 1e-9 * float(np.abs(y).max())  # steps of a share of rounding would lead nowhere
        _label_apart(axes, models, x, y, 0.035 * (1.0 if alike else span))
        axes.set_xlabel("FLOPs of a forward pass a token")
        axes.set_ylabel("bits per byte, average over domains (lower is better)")
        axes.grid()
        axes.set_axisbelow(True)
        best = min(models, key=lambda model: bits[model])
        return finished(figure, f"Average bits per byte against FLOPs a token; the fewest bits: {best}.")


def _label_apart(axes: object, names: Sequence[str], x: np.ndarray, y: np.ndarray, apart: float) -> None:
    """Names right of their points, moved up where they would lie on one below at nearly the same x."""
    taken: list[tuple[float, float]] = []
    for i in np.argsort(y):
        at = float(y[i])
        while any(abs(np.log(x[i] / other_x)) < 0.6 and abs(at - other) < apart for other_x, other in taken):
            at += apart / 4
        taken.append((float(x[i]), at))
        axes.annotate(  # type: ignore[attr-defined]
            names[i], (x[i], y[i]), xytext=(x[i] * 1.03, at), fontsize=7.5, va="center", color=INK
        )
