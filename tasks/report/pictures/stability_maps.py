"""A training run's stability: share of update ratios near 1 as a map of layers by steps, with the loss under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.report.pictures.colours import HEAT, INK, MUTED, STITCHED
from tasks.report.pictures.drawing import Picture, drawing, finished, new_figure

TABLE = "stability.parquet"
MAX_COLUMNS = 240
LOWEST, HIGHEST = 5e-4, 0.5  # ends of the colours: independent gradients, and gradients that hardly change
EVENT_COLOURS = {"alarm": MUTED, "spike": STITCHED, "rewind": INK}


@dataclass(frozen=True)
class StabilityMap:
    """tails (layers, looks): share of |r| > .8. losses: at those looks. Of the attempt that was kept."""

    layers: list[str]
    steps: np.ndarray
    tails: np.ndarray
    losses: np.ndarray


def read_stability(folder: Path) -> StabilityMap | None:
    """The map in a stage's logs; None where Adam's state was not looked at."""
    import pandas as pd

    path = folder / "logs" / TABLE
    if not path.is_file():
        return None
    frame = pd.read_parquet(path)
    if frame.empty:
        return None
    frame = frame.drop_duplicates(["step", "layer"], keep="last")  # of a step done twice, the later attempt
    whole = frame[frame["layer"] == "all"].sort_values("step")
    parts = frame[frame["layer"] != "all"]
    layers = list(dict.fromkeys(parts["layer"]))
    tails = parts.pivot(index="layer", columns="step", values="tail_r").loc[layers].sort_index(axis=1)
    return _thinned(
        StabilityMap(layers, whole["step"].to_numpy(), tails.to_numpy(), whole["loss"].to_numpy())
    )


def _thinned(found: StabilityMap) -> StabilityMap:
    """At most MAX_COLUMNS looks: the highest share and loss of as many, lest a short spike is lost."""
    if len(found.steps) <= MAX_COLUMNS:
        return found
    parts = np.array_split(np.arange(len(found.steps)), MAX_COLUMNS)
    return StabilityMap(
        found.layers,
        np.array([found.steps[part[-1]] for part in parts]),
        np.stack([found.tails[:, part].max(axis=1) for part in parts], axis=1),
        np.array([found.losses[part].max() for part in parts]),
    )


def draw_stability(found: StabilityMap, events: Sequence[dict]) -> Picture:
    """Both, on one axis of steps; a line at each event (rows of the fact `training_events`)."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    with drawing():
        height = 0.16 * len(found.layers)
        figure, axes = new_figure(11.3, 2.3 + height)
        axes.remove()
        upper, lower = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [max(height, 0.6), 1.3]}
        )
        figure.subplots_adjust(
            left=0.15, right=0.91, top=0.97, bottom=0.2 * 2.3 / (2.3 + height), hspace=0.12
        )
        first = found.steps[0] - (found.steps[1] - found.steps[0] if len(found.steps) > 1 else found.steps[0])
        edges = np.concatenate([[first], found.steps])
        colours = LinearSegmentedColormap.from_list("heat", HEAT)
        mesh = upper.pcolormesh(
            edges,
            np.arange(len(found.layers) + 1),
            np.maximum(found.tails, LOWEST),
            norm=LogNorm(LOWEST, HIGHEST),
            cmap=colours,
            rasterized=True,
        )
        upper.set_yticks(np.arange(len(found.layers)) + 0.5, [_short(layer) for layer in found.layers])
        upper.invert_yaxis()
        bar = figure.colorbar(mesh, cax=figure.add_axes((0.925, 0.3, 0.012, 0.6)))
        bar.set_ticks([0.001, 0.01, 0.1, HIGHEST], labels=[".001", ".01", ".1", ".5"])
        bar.minorticks_off()
        bar.set_label("share of |r| > .8")
        lower.plot(found.steps, found.losses, color=INK, linewidth=1)
        for event in events:
            lower.axvline(event["step"], color=EVENT_COLOURS[event["event"]], linewidth=0.9, linestyle=":")
        lower.set_xlabel("step")
        lower.set_ylabel("loss, nats per token")
        top = np.unravel_index(np.nanargmax(found.tails), found.tails.shape)
        return finished(
            figure,
            f"Share of update ratios near 1 by layer and step; highest {found.tails[top]:.2f}, in "
            f"{found.layers[top[0]]} at step {found.steps[top[1]]}; {len(events)} events.",
        )


def _short(layer: str) -> str:
    return layer.removeprefix("model.")
