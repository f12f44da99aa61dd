"""A score against training compute, dense and mixture of experts, with the range of the seeds."""

from __future__ import annotations

import pandas as pd

from tasks.report.formatting import significant
from tasks.report.pictures.colours import SEED, STITCHED
from tasks.report.pictures.drawing import Picture, drawing, finished, new_figure

COLOURS = {"dense": (SEED, "D"), "moe": (STITCHED, "o")}


def draw_compute_ladder(table: pd.DataFrame, title: str, unit: str) -> Picture:
    """table: columns family, share, flops, seed and value, of one measure."""
    with drawing():
        figure, axes = new_figure(3.75, 2.9)
        figure.subplots_adjust(left=0.19, right=0.97, top=0.9, bottom=0.18)
        ends = []
        for family, (colour, marker) in COLOURS.items():
            rungs = table[table["family"] == family].groupby("share")
            flops, values = rungs["flops"].mean().to_numpy(float), rungs["value"]
            axes.vlines(flops, values.min(), values.max(), colors=colour, linewidth=1.2, alpha=0.55)
            axes.plot(
                flops, values.mean(), color=colour, marker=marker, markersize=5, linewidth=1.3, label=family
            )
            ends.append(f"{family} {values.mean().iloc[-1]:.3f}")
        axes.set_xscale("log")
        axes.set_xticks(flops, [significant(each, 2) for each in flops], fontsize=7)
        axes.minorticks_off()
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.set_title(title, fontsize=8.5)
        axes.set_xlabel("training FLOPs")
        axes.set_ylabel(unit)
        axes.legend()
        return finished(figure, f"{title}, {unit}, against training FLOPs; at the most: {', '.join(ends)}.")
