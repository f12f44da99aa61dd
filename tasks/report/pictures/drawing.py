"""What all pictures share: a figure without a window, calm axes, and an SVG as a data address.

A picture is embedded as an image, so that its identifiers cannot collide with another's and nothing in it can
run. Its text stays text, in the fonts of the page.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tasks.report.pictures.colours import INK, MUTED, RULE

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
FONT_FAMILY = re.compile(r"(font(?:-family)?: (?:[^;\"']*?))'DejaVu Sans'[^;\"]*")
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mixstitch",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "axes.unicode_minus": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "text.color": INK,
}


@dataclass(frozen=True)
class Picture:
    """An SVG as a data address, what it shows in words, its width in CSS pixels, and the figure it was made from."""

    address: str
    words: str
    width: int
    figure: Figure = field(compare=False, repr=False)


@contextmanager
def drawing() -> Iterator[None]:
    """The style of the page for all figures made inside."""
    with mpl.rc_context(STYLE):
        yield


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A transparent figure of a size in inches (96 CSS pixels after scaling), with one pair of axes."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    return figure, axes


def finished(figure: Figure, words: str) -> Picture:
    """The figure as a picture; the same figure gives the same bytes."""
    encoded = base64.b64encode(_svg(figure).encode("utf-8")).decode("ascii")
    return Picture(f"data:image/svg+xml;base64,{encoded}", words, round(figure.get_figwidth() * 96), figure)


def write_svg(figure: Figure, path: Path) -> None:
    """The figure as an .svg file of its own, on white."""
    figure.patch.set(alpha=1, facecolor="white")
    path.write_text(_svg(figure), encoding="utf-8")


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    with drawing(), warnings.catch_warnings():
        # Text stays text: that the font which measures it lacks a letter does not show.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(stream, format="svg", metadata={"Date": None})
    svg = stream.getvalue()
    return FONT_FAMILY.sub(lambda found: found.group(1) + FONTS, svg[svg.index("<svg") :])
