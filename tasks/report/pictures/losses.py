"""Loss against tokens: the seed's curve, and from its end those of all that was trained from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.report.pictures.colours import MUTED, Look
from tasks.report.pictures.drawing import Picture, drawing, finished, new_figure

MAX_POINTS = 300


@dataclass(frozen=True)
class Curve:
    """tokens read (since the stage began) and the mean training loss up to there, nats a token."""

    tokens: np.ndarray
    losses: np.ndarray


def read_curve(folder: Path, metrics: Mapping[str, float]) -> Curve | None:
    """The curve in a stage's logs; None where it keeps none. metrics: its `tokens` and `steps`."""
    path = folder / "logs" / "steps.jsonl"
    if not path.is_file() or not metrics.get("steps"):
        return None
    with path.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    if not rows:
        return None
    rows = last_attempts(rows)
    steps = np.array([row["step"] for row in rows], dtype=float)
    losses = np.array([row["loss"] for row in rows], dtype=float)
    return _thinned(Curve(steps * metrics["tokens"] / metrics["steps"], losses))


def last_attempts(rows: Sequence[dict]) -> list[dict]:
    """Rows of the step log without those of steps that a rewind undid."""
    kept: list[dict] = []
    for row in rows:
        while kept and row["step"] <= kept[-1]["step"]:
            kept.pop()
        kept.append(row)
    return kept


def _thinned(curve: Curve) -> Curve:
    """At most MAX_POINTS points, each the mean of as many logged ones."""
    if len(curve.tokens) <= MAX_POINTS:
        return curve
    parts = np.array_split(np.arange(len(curve.tokens)), MAX_POINTS)
    return Curve(
        np.array([curve.tokens[part[-1]] for part in parts]),
        np.array([curve.losses[part].mean() for part in parts]),
    )


def draw_losses(curves: Mapping[str, Curve], looks: Mapping[str, Look]) -> Picture | None:
    """All curves in one picture; those other than the seed's begin where the seed's ends. None without any."""
    if not curves:
        return None
    with drawing():
        num_columns = 1 + (len(curves) - 1) // 12
        figure, axes = new_figure(11.3, 3.9)
        figure.subplots_adjust(left=0.055, right=0.99 - 0.125 * num_columns, top=0.96, bottom=0.14)
        branch = float(curves["seed"].tokens[-1]) if "seed" in curves else 0.0
        for name, curve in curves.items():
            start = 0.0 if name == "seed" else branch
            look = looks[name]
            axes.plot(
                (curve.tokens + start) / 1e6,
                curve.losses,
                color=look.colour,
                linewidth=1.4,
                linestyle="--" if name == "stitched" else "-",
                marker=look.marker,
                markersize=6 if look.marker == "*" else 4,
                markevery=max(len(curve.tokens) // 8, 1),
                label=name if len(name) <= 18 else f"{name[:17]}…",
            )
        if branch and len(curves) > 1:
            axes.axvline(branch / 1e6, color=MUTED, linewidth=0.8, linestyle=":")
            axes.annotate(
                "branch",
                (branch / 1e6, 1),
                xycoords=("data", "axes fraction"),
                xytext=(-4, -9),
                textcoords="offset points",
                ha="right",
                color=MUTED,
                fontsize=8,
            )
        axes.set_xlim(left=0)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.set_xlabel("tokens read along the lineage (millions)")
        axes.set_ylabel("training loss (nats per token)")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, ncols=num_columns)
        ends = ", ".join(f"{name} {curve.losses[-1]:.2f}" for name, curve in curves.items())
        return finished(figure, f"Training loss against tokens; last logged losses: {ends}.")
