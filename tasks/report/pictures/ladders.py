"""A score against tokens, one line a contender, each budget's mean over seeds with the range of the seeds."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tasks.report.formatting import compact
from tasks.report.pictures.colours import Look
from tasks.report.pictures.drawing import Picture, drawing, finished, new_figure

WIDTH, COLUMNS, ROW_INCHES = 3.75, 2, 0.19
APART = 0.012  # between contenders at one budget, as a part of log10 tokens


def draw_ladder(table: pd.DataFrame, measure: str, label: str, looks: Mapping[str, Look]) -> Picture:
    """table: columns contender, tokens, seed and the measure; label: of the axis, with its unit."""
    with drawing():
        rows = -(-len(looks) // COLUMNS)
        height = 2.7 + ROW_INCHES * rows
        figure, axes = new_figure(WIDTH, height)
        figure.subplots_adjust(left=0.2, right=0.97, top=0.97, bottom=(0.5 + ROW_INCHES * rows) / height)
        ends = []
        for position, (name, look) in enumerate(looks.items()):
            runs = table[table["contender"] == name].groupby("tokens")[measure]
            shift = 10 ** (APART * (position - (len(looks) - 1) / 2))
            tokens, means = runs.mean().index.to_numpy(float) * shift, runs.mean()
            axes.vlines(tokens, runs.min(), runs.max(), colors=look.colour, linewidth=1.2, alpha=0.55)
            axes.plot(
                tokens, means, color=look.colour, marker=look.marker, markersize=5, linewidth=1.3, label=name
            )
            ends.append(f"{name} {means.iloc[-1]:.3f}")
        axes.set_xscale("log")
        budgets = sorted(set(table["tokens"]))
        axes.set_xticks(budgets, [compact(budget) for budget in budgets])
        axes.minorticks_off()
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.set_xlabel("tokens trained on")
        axes.set_ylabel(label.replace(" (", "\n("))
        figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=COLUMNS, borderaxespad=0.2)
        return finished(figure, f"{label} against tokens; at the largest budget: {', '.join(ends)}.")
