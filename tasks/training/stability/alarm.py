"""Alarm before a spike of the loss: a layer's update ratios gather near +-1, beyond the theory's bound and their past.

Molybog et al. 2023, arXiv 2304.09871: r turns from a bell around 0 to two heaps near +-1 when the gradients of a layer
agree over time, and updates stop being directions of descent; that comes before the loss moves. A layer is ill when

    tail = P(|r| > .8)  >  bound    and    tail  >  times * median    and    tail  >  median + rise * 1.4826 MAD

with median and median absolute deviation (MAD) of its own last looks.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.training.stability.settings import AlarmSettings, RecoverySettings
from tasks.training.stability.spikes import NEAR, Past

SUMMED = ("all", "others")  # no layer of their own
NORMAL = 1.4826  # median absolute deviation -> standard deviation, of a normal distribution


@dataclass(frozen=True)
class Watched:
    """What is known of a run at a step: all that alarms and decisions follow from, kept with every checkpoint.

    losses: those that the next is compared with. spiked: the spiked steps of the last NEAR. tails: layer -> share of
    |r| > .8 at its last looks. events: alarms and spikes so far, since the last rewind.
    """

    losses: Past
    spiked: tuple[int, ...] = ()
    tails: Mapping[str, tuple[float, ...]] = None  # type: ignore[assignment]
    events: tuple[Mapping[str, Any], ...] = ()

    def last(self, kind: str) -> int | None:
        """The step of the last event of a kind."""
        return next((event["step"] for event in reversed(self.events) if event["event"] == kind), None)


def begin(recovery: RecoverySettings) -> Watched:
    return Watched(Past(recovery.window), tails={})


def after_loss(watched: Watched, step: int, loss: float, settings: RecoverySettings) -> Watched:
    """With the loss of step `step` (from 1); an event where it completes a spike.

    A spiked loss joins the past as the bound that it went over: as it is, one would hide the next ones.
    """
    above = watched.losses.sigmas(loss)
    near = tuple(s for s in watched.spiked if s > step - NEAR)
    spiked = (*near, step) if above > settings.sigmas else near
    past = watched.losses.and_then(watched.losses.at_most(loss, settings.sigmas))
    watched = replace(watched, losses=past, spiked=spiked)
    completes = len(spiked) >= settings.spiked_steps > len(near) and spiked[-1:] == (step,)
    if not completes:
        return watched
    event = {"step": step, "event": "spike", "since": spiked[0], "loss": loss, "sigmas": above}
    return replace(watched, events=(*watched.events, event))


def after_look(
    watched: Watched, step: int, looks: Mapping[str, Mapping[str, float]], settings: AlarmSettings
) -> Watched:
    """With the statistics of each layer after `step`; an event where some are ill that were not."""
    tails = {layer: told["tail_r"] for layer, told in looks.items() if layer not in SUMMED}
    ill = [layer for layer, tail in tails.items() if is_ill(tail, watched.tails.get(layer, ()), settings)]
    kept = {layer: (*watched.tails.get(layer, ()), tail)[-settings.window :] for layer, tail in tails.items()}
    watched = replace(watched, tails=kept)
    last = watched.last("alarm")
    if not ill or step <= settings.warmup or (last is not None and step - last <= settings.quiet):
        return watched
    worst = max(ill, key=lambda layer: tails[layer])
    event = {"step": step, "event": "alarm", "layer": worst, "tail_r": tails[worst], "layers": len(ill)}
    return replace(watched, events=(*watched.events, event))


def is_ill(tail: float, past: Sequence[float], settings: AlarmSettings) -> bool:
    """Whether a layer's tail is above the bound and above its own past; never before half of that is there."""
    if not tail > settings.tail or len(past) < settings.window // 2:
        return False
    middle = statistics.median(past)
    spread = NORMAL * statistics.median(abs(value - middle) for value in past)
    return tail > max(settings.times * middle, middle + settings.rise * spread)


def as_json(watched: Watched) -> dict[str, Any]:
    """JSON values that `from_json` makes the same of."""
    return {
        "losses": list(watched.losses.values),
        "spiked": list(watched.spiked),
        "tails": {layer: list(values) for layer, values in watched.tails.items()},
        "events": [dict(event) for event in watched.events],
    }


def from_json(kept: Mapping[str, Any], settings: RecoverySettings) -> Watched:
    return Watched(
        Past(settings.window, tuple(kept["losses"])),
        tuple(kept["spiked"]),
        {layer: tuple(values) for layer, values in kept["tails"].items()},
        tuple(kept["events"]),
    )


def onset_of(spike: Mapping[str, Any], events: Sequence[Mapping[str, Any]], reach: int) -> int:
    """Where the signs of a spike began: at the first alarm within `reach` steps before it, else with its first step."""
    alarms = [e["step"] for e in events if e["event"] == "alarm" and 0 <= spike["since"] - e["step"] <= reach]
    return min([*alarms, spike["since"]])
