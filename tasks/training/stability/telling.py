"""Events of a run as values that are kept, and as sentences that are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.training.stability.recovery import Decision


def rewind_event(decision: Decision) -> dict[str, Any]:
    """A decision as an event."""
    return {
        "step": decision.detected,
        "event": "rewind",
        "onset": decision.onset,
        "target": decision.target,
        "skipped": list(decision.skipped),
        "escalation": decision.escalation,
    }


def all_events(decisions: Sequence[Decision], since: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Everything in its order, each with the attempt it belongs to; since: those after the last rewind."""
    told: list[dict[str, Any]] = []
    for attempt, decision in enumerate(decisions):
        told += [{**event, "attempt": attempt} for event in (*decision.because, rewind_event(decision))]
    return told + [{**event, "attempt": len(decisions)} for event in since]


def said(event: Mapping[str, Any]) -> str:
    """A sentence for a person."""
    if event["event"] == "alarm":
        return (
            f"step {event['step']:,}: a spike of the loss may come: in {event['layer']} {event['tail_r']:.0%} of "
            f"Adam's update ratios are near 1 ({event['layers']} layers in all)"
        )
    if event["event"] == "spike":
        above = f"{event['loss']:.3f} is {event['sigmas']:.1f} sigma above its past"
        return f"step {event['step']:,}: the loss spikes, {above}"
    skipped = event["skipped"]
    which = f"skipping {len(skipped):,} batches from {skipped[0]:,} on" if skipped else "skipping none"
    more = {"rate": "a lower learning rate", "epsilon": "a lower epsilon", "clear": "Adam's state cleared"}
    also = f", with {more[event['escalation']]}" if event["escalation"] else ""
    return f"step {event['step']:,}: back to step {event['target']:,}, {which}{also}"


def catalog_rows(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The fact `training_events`, a row an event."""
    return [
        {
            "step": event["step"],
            "attempt": event["attempt"],
            "event": event["event"],
            "said": said(event),
            "target": event.get("target"),
            "skipped": event.get("skipped", []),
        }
        for event in events
    ]
