"""One colour and marker a model throughout the page, and the colours of heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

INK, MUTED, RULE, ACCENT = "#22262b", "#626a73", "#d9d6cf", "#0f6b74"
SEED, STITCHED = "#6b7280", "#b23a2e"
EXPERTS = ("#1f77a4", "#3c8d57", "#8257a8", "#b9770e", "#4d5fb3", "#a0527c", "#5f7d1f", "#2a9d9d")
COMBINED = ("#8a6a46", "#4b4b4b", "#a38a00")
EXPERT_MARKERS = ("o", "s", "^", "v", "P", "X", "p", "h")
COMBINED_MARKERS = ("<", ">", "d")
HEAT = ("#fbfaf7", "#dcecea", "#a9d3d1", "#63aeb0", "#24818a", "#0b4f5c")


@dataclass(frozen=True)
class Look:
    """How a model is drawn: never told apart by colour alone."""

    colour: str
    marker: str


def looks(stages: dict[str, str]) -> dict[str, Look]:
    """Look of each model by its stage (seed, expert, composition, stitched; others as compositions)."""
    found, experts, combined = {}, 0, 0
    for name, stage in stages.items():
        if stage == "seed":
            found[name] = Look(SEED, "D")
        elif stage == "stitched":
            found[name] = Look(STITCHED, "*")
        elif stage == "expert":
            found[name] = Look(EXPERTS[experts % len(EXPERTS)], EXPERT_MARKERS[experts % len(EXPERT_MARKERS)])
            experts += 1
        else:
            found[name] = Look(
                COMBINED[combined % len(COMBINED)], COMBINED_MARKERS[combined % len(COMBINED_MARKERS)]
            )
            combined += 1
    return found


def heat(level: float) -> tuple[str, str]:
    """Background and text colour of a heat map's cell; level from 0 to 1."""
    level = min(max(level, 0.0), 1.0) * (len(HEAT) - 1)
    low = min(int(level), len(HEAT) - 2)
    channels = _mixed(HEAT[low], HEAT[low + 1], level - low)
    luminance = (0.299 * channels[0] + 0.587 * channels[1] + 0.114 * channels[2]) / 255
    return "#" + "".join(f"{channel:02x}" for channel in channels), INK if luminance > 0.55 else "#ffffff"


def gradient(steps: int = 11) -> str:
    """The heat colours as a CSS gradient, low to high."""
    return f"linear-gradient(90deg, {', '.join(heat(i / (steps - 1))[0] for i in range(steps))})"


def _mixed(first: str, second: str, share: float) -> Sequence[int]:
    pairs = zip(_channels(first), _channels(second), strict=True)
    return [round(a + (b - a) * share) for a, b in pairs]


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
