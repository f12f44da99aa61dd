"""A training run's stability: share of update ratios near 1 as a map of layers by steps, with the loss under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.report.pictures.colours import HEAT, INK, MUTED, STITCHED
from tasks.report.pictures.drawing import Picture, drawing, finished
from tasks.report.pictures.step_maps import colour_bar, edges_of, looks_of_columns, map_and_curve

TABLE = "stability.parquet"
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
    """A look a column of the map: the highest share and loss of its looks, lest a short spike is lost."""
    parts = looks_of_columns(len(found.steps))
    if parts is None:
        return found
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
        figure, upper, lower = map_and_curve(height)
        colours = LinearSegmentedColormap.from_list("heat", HEAT)
        mesh = upper.pcolormesh(
            edges_of(found.steps),
            np.arange(len(found.layers) + 1),
            np.maximum(found.tails, LOWEST),
            norm=LogNorm(LOWEST, HIGHEST),
            cmap=colours,
            rasterized=True,
        )
        upper.set_yticks(np.arange(len(found.layers)) + 0.5, [_short(layer) for layer in found.layers])
        upper.invert_yaxis()
        bar = colour_bar(figure, mesh)
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
