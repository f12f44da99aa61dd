"""How a mixture of experts routed while it trained: load of every expert by step, with the dropped choices under it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.report.pictures.colours import ACCENT, HEAT, INK, STITCHED
from tasks.report.pictures.drawing import Picture, drawing, finished
from tasks.report.pictures.step_maps import colour_bar, edges_of, looks_of_columns, map_and_curve

TABLE = "routing.parquet"
CHOICE_COLOURS = (INK, STITCHED, ACCENT)


@dataclass(frozen=True)
class RoutingMap:
    """loads (layers * experts, looks): share of a layer's choices times its experts, 1 where uniform.

    experts: how many a layer has. dropped (looks, k): share of first, second, ... choices without a slot, mean of the
    layers.
    """

    layers: list[str]
    experts: int
    steps: np.ndarray
    loads: np.ndarray
    dropped: np.ndarray


def read_routing_map(folder: Path) -> RoutingMap | None:
    """The map in a stage's logs; None where no router was trained."""
    import pandas as pd

    path = folder / "logs" / TABLE
    if not path.is_file():
        return None
    frame = pd.read_parquet(path)
    steps = np.array(sorted(set(frame["step"])))
    layers = list(dict.fromkeys(frame["layer"]))
    by_layer = [frame[frame["layer"] == layer].sort_values("step") for layer in layers]
    loads = [np.stack(part["load"].to_list(), axis=1) for part in by_layer]
    dropped = np.mean([np.stack(part["dropped"].to_list()) for part in by_layer], axis=0)
    experts = len(loads[0])
    found = RoutingMap(layers, experts, steps, np.concatenate(loads) * experts, dropped)
    return _thinned(found)


def _thinned(found: RoutingMap) -> RoutingMap:
    """A look a column of the map: the mean of its looks."""
    parts = looks_of_columns(len(found.steps))
    if parts is None:
        return found
    return RoutingMap(
        found.layers,
        found.experts,
        np.array([found.steps[part[-1]] for part in parts]),
        np.stack([found.loads[:, part].mean(axis=1) for part in parts], axis=1),
        np.stack([found.dropped[part].mean(axis=0) for part in parts]),
    )


def draw_routing(found: RoutingMap) -> Picture:
    """Both, on one axis of steps; a line between the layers."""
    from matplotlib.colors import LinearSegmentedColormap

    with drawing():
        rows = len(found.loads)
        height = min(0.12 * rows, 5.0)
        figure, upper, lower = map_and_curve(height)
        mesh = upper.pcolormesh(
            edges_of(found.steps),
            np.arange(rows + 1),
            found.loads,
            vmin=0,
            vmax=2,
            cmap=LinearSegmentedColormap.from_list("heat", HEAT),
            rasterized=True,
        )
        middles = (np.arange(len(found.layers)) + 0.5) * found.experts
        upper.set_yticks(
            middles, [layer.removeprefix("model.").removesuffix(".mlp") for layer in found.layers]
        )
        for place in range(1, len(found.layers)):
            upper.axhline(place * found.experts, color="white", linewidth=1.5)
        upper.invert_yaxis()
        bar = colour_bar(figure, mesh)
        bar.set_ticks([0, 1, 2], labels=["0", "1", "≥ 2"])
        bar.set_label("load, 1 is an equal share")
        names = ["first", "second", "third"]
        for place, shares in enumerate(found.dropped.T):
            label = f"{names[place] if place < len(names) else place + 1} choices"
            lower.plot(found.steps, 100 * shares, color=CHOICE_COLOURS[place % 3], linewidth=1, label=label)
        lower.set_ylim(bottom=0)
        lower.set_xlabel("step")
        lower.set_ylabel("dropped, %")
        lower.legend(loc="upper right")
        ends = ", ".join(f"{share:.1%}" for share in found.dropped[-1])
        return finished(
            figure,
            f"Load of {found.experts} experts in each of {len(found.layers)} layers by step, from "
            f"{found.loads.min():.2f} to {found.loads.max():.2f} of an equal share; dropped at the end, by choice: "
            f"{ends}.",
        )
